/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

/**
 * Gives a target the @size bytes @data, as libFuzzer and replay.c do; what it
 * asserts must hold for all bytes. Returns 0.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Input that is taken piece by piece; where it ends, zeros follow. */
typedef struct FuzzInput {
	const uint8_t *data;
	size_t size;
} FuzzInput;

static inline void
fuzz_take(FuzzInput *input, void *ret_bytes, size_t size)
{
	size_t taken = MIN(size, input->size);

	memset(ret_bytes, 0, size);
	if (taken > 0)
		memcpy(ret_bytes, input->data, taken);
	input->data += taken;
	input->size -= taken;
}

/** The rest of @input as text. Ownership: the caller frees it. */
static inline char *
fuzz_take_text(FuzzInput *input)
{
	char *text = g_strndup((const char *)input->data, input->size);

	input->size = 0;
	return text;
}
