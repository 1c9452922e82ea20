/* SPDX-License-Identifier: BSD-2-Clause */
/* For DOS on a 386 or later: a .COM that gcc -m16 makes, without any library.
 * Lines come as files D:\ASK.nnn, one after the other, and are answered as
 * D:\TOLD.nnn; a file appears under its name when it is whole. */
#include "obey.h"

/* A program begins with one segment for all, the last word of it the top of its
 * stack; the compiler takes the stack pointer for one of 32 bits. */
__asm__(".code16gcc\n"
        ".section .start, \"ax\"\n"
        "	movzwl	%sp, %esp\n"
        "	call	obey\n"
        "	movw	$0x4c00, %ax\n"
        "	int	$0x21\n"
        ".text\n");

/* Of INT 21h: its registers, by whose lower halves it takes and answers. */
typedef struct Registers {
	unsigned a, b, c, d, s;
} Registers;

#define SEEK_BEGIN 0
#define SEEK_END   2

/* How long it waits for a line before it looks again, in microseconds. */
#define LOOK_US 5000

/* Returns 0 or the error, which DOS itself keeps in AX. */
static unsigned
dos(Registers *regs)
{
	int is_error;

	__asm__ volatile("int $0x21"
	                 : "+a"(regs->a), "+b"(regs->b), "+c"(regs->c),
	                   "+d"(regs->d), "+S"(regs->s), "=@ccc"(is_error)
	                 :
	                 : "memory");
	return is_error ? regs->a & 0xffff : 0;
}

static unsigned
address_of(const void *data)
{
	return (unsigned)(unsigned long)data;
}

static void
pause(void)
{
	unsigned a = 0x8600;
	unsigned c = 0;
	unsigned d = LOOK_US;

	__asm__ volatile("int $0x15"
	                 : "+a"(a), "+c"(c), "+d"(d)
	                 :
	                 : "memory", "cc", "ebx");
}

/* ---- lines --------------------------------------------------------------- */

static unsigned line_number;

/* Writes the number of the line into a name that ends in ".nnn". */
static const char *
numbered(char *name)
{
	char *at = name;

	while (*at != '.')
		at++;
	for (int shift = 8; shift >= 0; shift -= 4)
		*++at = "0123456789ABCDEF"[line_number >> shift & 15];
	return name;
}

int
os_hear(char *ret_line)
{
	static char name[] = "D:\\ASK.000";
	unsigned handle;
	unsigned size;

	line_number++;
	(void)numbered(name);
	while (os_open(name, 0, 0, OBEY_OPEN, &handle, &size) != 0)
		pause();
	(void)os_read(handle, 0, ret_line, OBEY_LINE_SIZE - 1, &size);
	(void)os_close(handle);
	ret_line[size] = '\0';
	return 1;
}

void
os_say(const char *line)
{
	static char name[] = "D:\\TOLD.000";
	unsigned handle;
	unsigned size = 0;

	while (line[size] != '\0')
		size++;
	(void)os_open("D:\\TOLD.TMP", 2, 0, OBEY_CREATE | OBEY_TRUNCATE,
	              &handle, &(unsigned){ 0 });
	(void)os_write(handle, 0, line, size);
	(void)os_close(handle);
	(void)os_rename("D:\\TOLD.TMP", numbered(name));
}

/* ---- calls --------------------------------------------------------------- */

static unsigned
file_seek(unsigned handle, unsigned offset, unsigned from, unsigned *ret_at)
{
	Registers regs = { .a = 0x4200 | from,
		           .b = handle,
		           .c = offset >> 16,
		           .d = offset & 0xffff };
	unsigned r = dos(&regs);

	*ret_at = (regs.d & 0xffff) << 16 | (regs.a & 0xffff);
	return r;
}

/* As a program of DOS 3 does what it can so, 3Dh, 3Ch and 5Bh; else 6Ch. */
static unsigned
file_open(const char *name, unsigned access, unsigned mode,
          unsigned *ret_handle)
{
	unsigned at = address_of(name);
	Registers regs = { .a = 0x6c00, .b = access, .d = mode, .s = at };
	unsigned r;

	if (mode == OBEY_OPEN)
		regs = (Registers){ .a = 0x3d00 | access, .d = at };
	else if (mode == (OBEY_CREATE | OBEY_TRUNCATE))
		regs = (Registers){ .a = 0x3c00, .d = at };
	else if (mode == OBEY_CREATE)
		regs = (Registers){ .a = 0x5b00, .d = at };

	r = dos(&regs);
	*ret_handle = regs.a & 0xffff;
	return r;
}

unsigned
os_open(const char *name, unsigned access, unsigned deny, unsigned mode,
        unsigned *ret_handle, unsigned *ret_size)
{
	unsigned r = file_open(name, access | deny << 4, mode, ret_handle);

	*ret_size = 0;
	if (r == 0)
		r = file_seek(*ret_handle, 0, SEEK_END, ret_size);
	return r;
}

/* Reads (3Fh) or writes (40h). */
static unsigned
file_move(unsigned call, unsigned handle, unsigned offset, const void *data,
          unsigned *size)
{
	Registers regs = {
		.a = call << 8, .b = handle, .c = *size, .d = address_of(data)
	};
	unsigned at;
	unsigned r = file_seek(handle, offset, SEEK_BEGIN, &at);

	if (r == 0)
		r = dos(&regs);
	*size = regs.a & 0xffff;
	return r;
}

unsigned
os_read(unsigned handle, unsigned offset, void *buf, unsigned size,
        unsigned *ret_size)
{
	unsigned r = file_move(0x3f, handle, offset, buf, &size);

	*ret_size = size;
	return r;
}

unsigned
os_write(unsigned handle, unsigned offset, const void *data, unsigned size)
{
	return file_move(0x40, handle, offset, data, &size);
}

unsigned
os_truncate(unsigned handle, unsigned size)
{
	return os_write(handle, size, "", 0);
}

/* 5Ch: locks (0) or unlocks (1). */
static unsigned
file_lock(unsigned call, unsigned handle, unsigned offset, unsigned size)
{
	unsigned r;
	unsigned di = size & 0xffff;
	unsigned a = 0x5c00 | call;
	int is_error;

	__asm__ volatile("int $0x21"
	                 : "+a"(a), "+D"(di), "=@ccc"(is_error)
	                 : "b"(handle), "c"(offset >> 16), "d"(offset & 0xffff),
	                   "S"(size >> 16)
	                 : "memory");
	r = is_error ? a & 0xffff : 0;
	return r;
}

unsigned
os_lock(unsigned handle, unsigned offset, unsigned size)
{
	return file_lock(0, handle, offset, size);
}

unsigned
os_unlock(unsigned handle, unsigned offset, unsigned size)
{
	return file_lock(1, handle, offset, size);
}

unsigned
os_close(unsigned handle)
{
	return dos(&(Registers){ .a = 0x3e00, .b = handle });
}

unsigned
os_delete(const char *name)
{
	return dos(&(Registers){ .a = 0x4100, .d = address_of(name) });
}

unsigned
os_rename(const char *name, const char *new_name)
{
	unsigned a = 0x5600;
	int is_error;

	__asm__ volatile("int $0x21"
	                 : "+a"(a), "=@ccc"(is_error)
	                 : "d"(address_of(name)), "D"(address_of(new_name))
	                 : "memory");
	return is_error ? a & 0xffff : 0;
}

unsigned
os_find(const char *name, char *ret_name)
{
	static char found[43];
	unsigned r;

	(void)dos(&(Registers){ .a = 0x1a00, .d = address_of(found) });
	r = dos(&(Registers){ .a = 0x4e00, .c = 0x16, .d = address_of(name) });
	for (int i = 0; r == 0 && i < 13; i++)
		ret_name[i] = found[30 + i];
	return r;
}

void
os_end(unsigned code)
{
	(void)dos(&(Registers){ .a = 0x4c00 | code });
}
