/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/glb.h"

#include <string.h>

#include "store/bytes.h"

#define GET(array, offset) memcpy(array, bytes + (offset), sizeof(array))

void
format_control_decode(const uint8_t *bytes, FormatControl *ret_control)
{
	ret_control->mailbag = bytes_get_u32(bytes);
	ret_control->letter = bytes_get_u32(bytes + 4);
}

void
format_control_encode(const FormatControl *control, uint8_t *ret_bytes)
{
	bytes_put_u32(ret_bytes, control->mailbag);
	bytes_put_u32(ret_bytes + 4, control->letter);
}

bool
format_counter_is_above(uint32_t counter, uint32_t used)
{
	return counter != used && counter - used < UINT32_C(1) << 31;
}

void
format_network_decode(const uint8_t *bytes, FormatNetwork *ret_network)
{
	ret_network->state = bytes[0x00];
	ret_network->type = bytes[0x01];
	GET(ret_network->name, 0x02);
	GET(ret_network->xtn, 0x0D);
	GET(ret_network->mbg, 0x21);
}

void
format_xtn_decode(const uint8_t *bytes, FormatXtn *ret_xtn)
{
	ret_xtn->state = bytes[0x000];
	GET(ret_xtn->name, 0x001);
	GET(ret_xtn->mbg, 0x00C);
	ret_xtn->routed = bytes_get_u16(bytes + 0x289);
}

void
format_master_decode(const uint8_t *bytes, FormatMaster *ret_master)
{
	ret_master->gateways = bytes[0x93];
	ret_master->security = bytes[0x94];
}

uint16_t
format_flag_decode(const uint8_t *bytes)
{
	return bytes_get_u16(bytes);
}

uint32_t
format_serial_decode(const uint8_t *bytes)
{
	return bytes_get_u32(bytes);
}

void
format_nme_decode(const uint8_t *bytes, FormatNme *ret_nme)
{
	GET(ret_nme->opaque_00, 0x00);
	GET(ret_nme->name, 0x02);
	ret_nme->id = bytes_get_u32(bytes + 0x29);
}
