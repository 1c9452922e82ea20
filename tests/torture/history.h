/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include <glib.h>

/**
 * What the clients of a log were promised. A subject is a directory that one
 * client changes, step by step; each step has a number and a state, a word for
 * all that is there then. After a cut its state must be that of a step not
 * before the last one that was acknowledged, and not after the last one begun.
 */
typedef struct History History;

/** What is wrong with a state. */
typedef enum HistoryVerdict {
	HISTORY_RIGHT,
	HISTORY_LOST, /* that of a step before the last acknowledged one */
	HISTORY_TORN, /* of no step */
} HistoryVerdict;

History *history_new(void);
void history_free(History *history);

/** Notes the text of a PCUT_BEGIN or PCUT_ACK. Exits the program if it is none. */
void history_begin(History *history, const char *text);
void history_acknowledge(History *history, const char *text);

/** Told of a subject: its last acknowledged and begun steps. */
typedef void HistoryVisit(void *user_data, const char *subject, uint64_t acked,
                          uint64_t begun);

/** Calls @visit for each subject that has begun, by name. */
void history_visit(const History *history, HistoryVisit *visit,
                   void *user_data);

HistoryVerdict history_judge(const History *history, const char *subject,
                             const char *state);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(History, history_free)
