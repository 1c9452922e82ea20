/* SPDX-License-Identifier: BSD-2-Clause */
#include <stddef.h>

#include <glib.h>

#include "store/format/mai.h"

/* The tables of RFC 841: elements in appendix D, fields in appendix C. */
typedef struct Name {
	uint32_t number;
	const char *name;
} Name;

static const Name ids[] = {
	{ 0x00, "No-Op" },
	{ 0x01, "End-of-Constructor" },
	{ 0x02, "ASCII-String" },
	{ 0x08, "Boolean" },
	{ 0x09, "Unique-ID" },
	{ 0x0A, "Sequence" },
	{ 0x0B, "Set" },
	{ 0x20, "Integer" },
	{ 0x21, "Padding" },
	{ 0x24, "Property-List" },
	{ 0x28, "Date" },
	{ 0x43, "Bit-String" },
	{ 0x45, "Property" },
	{ 0x46, "Compressed" },
	{ 0x47, "Encrypted" },
	{ 0x4C, "Field" },
	{ 0x4D, "Message" },
	{ 0x7E, "Extension" },
	{ 0x7F, "Vendor-Defined" },
};

static const Name fields[] = {
	{ 0x01, "From" },
	{ 0x02, "Posted-Date" },
	{ 0x03, "Reply-To" },
	{ 0x04, "Text" },
	{ 0x05, "To" },
	{ 0x06, "Cc" },
	{ 0x07, "Subject" },
	{ 0x08, "Attachments" },
	{ 0x0C, "Author" },
	{ 0x0D, "Bcc" },
	{ 0x0E, "Circulate-Next" },
	{ 0x0F, "Circulate-To" },
	{ 0x10, "Comments" },
	{ 0x11, "Date" },
	{ 0x12, "End-Date" },
	{ 0x13, "In-Reply-To" },
	{ 0x14, "Keywords" },
	{ 0x15, "Message-Class" },
	{ 0x16, "Message-ID" },
	{ 0x17, "Originator-Serial-Number" },
	{ 0x18, "Precedence" },
	{ 0x19, "Received-Date" },
	{ 0x1A, "Received-From" },
	{ 0x20, "References" },
	{ 0x22, "Sender" },
	{ 0x23, "Start-Date" },
	{ 0x24, "Warning-Date" },
	{ 0x25, "Reissue-Type" },
	{ 0x26, "Obsoletes" },
};

static const char *
find_name(const Name *names, size_t count, uint32_t number)
{
	for (size_t i = 0; i < count; i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

const char *
format_mai_id_name(uint8_t id)
{
	return find_name(ids, G_N_ELEMENTS(ids), id);
}

const char *
format_mai_field_name(uint32_t field)
{
	return find_name(fields, G_N_ELEMENTS(fields), field);
}
