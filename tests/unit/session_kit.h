/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "fs/session.h"

/**
 * Sessions and their processes without clients: what session.h and
 * thread_group.h promise, as a test says.
 */

/** A session. Its fields may be changed at any time. */
struct FsSession {
	uint64_t serial;
	int refs;
	pid_t pid; /* 0: of callers that cannot be told apart */
	unsigned epoch;
	bool is_untold;
	bool has_peer; /* it is known who it is */
	FsPeer peer;
	int end_r; /* what is found of how its process ended */
	FsThreadEnd end;
	bool is_killed;
	int parent_r; /* and of its parent's */
	pid_t parent;
};

/** Sessions number 1 and so on. */
#define TEST_SESSIONS 3
extern FsSession test_sessions[TEST_SESSIONS];

/** Has them be new ones, each of a process that runs. */
void test_sessions_reset(void);

/** Whether somebody refers to one of them. */
bool test_sessions_are_kept(void);
