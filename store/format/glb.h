/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * The postoffice's lists and counters: GLB, XTN and NME files. Pure.
 *
 * Only what is published is here; all other bytes stay as they are. Records are
 * numbered from 0. Texts are decoded by format/text.h.
 */

/** Bytes of CONTROL.GLB (Q87388) [D]. */
#define FORMAT_CONTROL_SIZE 8

/** CONTROL.GLB: the numbers for new files (Q87388, Q87386) [D]. */
typedef struct FormatControl {
	uint32_t mailbag; /* +0: users, postoffices, gateways */
	uint32_t letter;  /* +4: MAI, ATT and P1 */
} FormatControl;

/** Reads FORMAT_CONTROL_SIZE bytes. */
void format_control_decode(const uint8_t *bytes, FormatControl *ret_control);

/** Writes FORMAT_CONTROL_SIZE bytes. */
void format_control_encode(const FormatControl *control, uint8_t *ret_bytes);

/**
 * Whether @counter is above the number @used, as it has to be (Q124042,
 * Q117738, Q112894) [D]. They wrap at 2^32: above is what is less than half
 * the circle ahead.
 */
bool format_counter_is_above(uint32_t counter, uint32_t used);

/** Bytes of a record of NETWORK.GLB (Q77926, Q148666) [D]. */
#define FORMAT_NETWORK_RECORD_SIZE 122

/** Types of networks that are published. */
typedef enum FormatNetworkType {
	FORMAT_NETWORK_CONNECTION = 0x10, /* Mac, "MSMAIL" (Q148666) [X] */
	FORMAT_NETWORK_FFAPI = 0x64,      /* (Q118561) [X] */
} FormatNetworkType;

/** A network or gateway (Q148666, Q118561) [X]; arrays are as on disk. */
typedef struct FormatNetwork {
	uint8_t state;    /* +00: 1 active, 0 deleted */
	uint8_t type;     /* +01: FormatNetworkType or another */
	uint8_t name[11]; /* +02: NUL-terminated text */
	uint8_t xtn[9];   /* +0D: stem of its XTN file and a NUL, or zeros */
	uint8_t mbg[9];   /* +21: stem of a gateway's mailbag, or zeros */
} FormatNetwork;

/** Reads FORMAT_NETWORK_RECORD_SIZE bytes. */
void format_network_decode(const uint8_t *bytes, FormatNetwork *ret_network);

/** Bytes of a record of an XTN file (Q77926, Q148666) [D]. */
#define FORMAT_XTN_RECORD_SIZE 698

/** A postoffice of a network (Q86625, Q148666) [X]; arrays as on disk. */
typedef struct FormatXtn {
	uint8_t state;    /* +000: 1 active, 0 deleted */
	uint8_t name[11]; /* +001: NUL-terminated text */
	uint8_t mbg[9];   /* +00C: stem of the queue to it and a NUL (that
	                   * there is a NUL is [I]) */
	uint16_t routed;  /* +289: postoffices that are routed through it */
} FormatXtn;

/** Reads FORMAT_XTN_RECORD_SIZE bytes. */
void format_xtn_decode(const uint8_t *bytes, FormatXtn *ret_xtn);

/** The state byte of a record that counts, in NETWORK.GLB and XTN [X]. */
#define FORMAT_STATE_ACTIVE 1

/** Bytes of MASTER.GLB (Q77926) [D]. */
#define FORMAT_MASTER_SIZE 176

/** The bit of FormatMaster.gateways for Connection (Q148666) [D]. */
#define FORMAT_MASTER_CONNECTION 0x10

/** MASTER.GLB, as far as it is published. */
typedef struct FormatMaster {
	uint8_t gateways; /* +93: a bit each (Q148666) [D] */
	uint8_t security; /* +94: 1 is enhanced security (Q104586) [D] */
} FormatMaster;

/** Reads FORMAT_MASTER_SIZE bytes. */
void format_master_decode(const uint8_t *bytes, FormatMaster *ret_master);

/** Bytes of FLAG.GLB, a u16 that counts changes (Q131670, Q103421) [D]. */
#define FORMAT_FLAG_SIZE 2

/** Bytes of TID.GLB, a u32: the last tuple id given out (Q87404) [D]. */
#define FORMAT_TID_SIZE 4

/** Bytes of FOLDERS/SERIALNO.IDX, a u32: the next folder (Q113149) [X]. */
#define FORMAT_SERIALNO_SIZE 4

/** The u16 of FLAG.GLB; that it is little-endian is [I]. */
uint16_t format_flag_decode(const uint8_t *bytes);

/** The u32 of TID.GLB or SERIALNO.IDX. */
uint32_t format_serial_decode(const uint8_t *bytes);

/** Bytes of a record of an NME file (Q77926) [D]. */
#define FORMAT_NME_RECORD_SIZE 45

/** An address in an NME file (Q119563) [X]. */
typedef struct FormatNme {
	uint8_t opaque_00[2]; /* +00: deleted, and type of the alias? [G] */
	uint8_t name[39];     /* +02: NUL-terminated full name, 30 characters
	                       * at most [I]; what follows it is opaque */
	uint32_t id;          /* +29: the user's, as in his files' stem [D] */
} FormatNme;

/** Reads FORMAT_NME_RECORD_SIZE bytes. */
void format_nme_decode(const uint8_t *bytes, FormatNme *ret_nme);
