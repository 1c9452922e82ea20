/* SPDX-License-Identifier: BSD-2-Clause */
/* For Windows: lines come from the standard input. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "obey.h"

static HANDLE
handle_of(unsigned handle)
{
	return (HANDLE)(ULONG_PTR)handle;
}

static unsigned
result(BOOL is_done)
{
	return is_done ? 0 : GetLastError();
}

static OVERLAPPED
place(unsigned offset)
{
	return (OVERLAPPED){ .Offset = offset };
}

int
os_hear(char *ret_line)
{
	HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
	DWORD got;

	for (int i = 0; i < OBEY_LINE_SIZE; i++) {
		if (!ReadFile(input, ret_line + i, 1, &got, NULL) || got == 0)
			return 0;
		if (ret_line[i] == '\n') {
			ret_line[i] = '\0';
			return 1;
		}
	}
	return 0;
}

void
os_say(const char *line)
{
	HANDLE output = GetStdHandle(STD_OUTPUT_HANDLE);
	DWORD done;

	(void)WriteFile(output, line, (DWORD)lstrlenA(line), &done, NULL);
	(void)WriteFile(output, "\n", 1, &done, NULL);
}

static DWORD
share_of(unsigned deny)
{
	switch (deny) {
	case OBEY_DENY_ALL:
		return 0;
	case OBEY_DENY_WRITE:
		return FILE_SHARE_READ;
	case OBEY_DENY_READ:
		return FILE_SHARE_WRITE;
	default:
		return FILE_SHARE_READ | FILE_SHARE_WRITE;
	}
}

static DWORD
disposition_of(unsigned mode)
{
	switch (mode) {
	case OBEY_CREATE:
		return CREATE_NEW;
	case OBEY_CREATE | OBEY_OPEN:
		return OPEN_ALWAYS;
	case OBEY_CREATE | OBEY_TRUNCATE:
		return CREATE_ALWAYS;
	case OBEY_TRUNCATE:
		return TRUNCATE_EXISTING;
	default:
		return OPEN_EXISTING;
	}
}

unsigned
os_open(const char *name, unsigned access, unsigned deny, unsigned mode,
        unsigned *ret_handle, unsigned *ret_size)
{
	static const DWORD ACCESS[] = { GENERIC_READ, GENERIC_WRITE,
		                        GENERIC_READ | GENERIC_WRITE };
	HANDLE file =
		CreateFileA(name, ACCESS[access % 3], share_of(deny), NULL,
	                    disposition_of(mode), FILE_ATTRIBUTE_NORMAL, NULL);

	if (file == INVALID_HANDLE_VALUE)
		return GetLastError();

	*ret_handle = (unsigned)(ULONG_PTR)file;
	*ret_size = GetFileSize(file, NULL);
	return 0;
}

unsigned
os_read(unsigned handle, unsigned offset, void *buf, unsigned size,
        unsigned *ret_size)
{
	OVERLAPPED at = place(offset);
	DWORD got = 0;
	unsigned r = result(ReadFile(handle_of(handle), buf, size, &got, &at));

	*ret_size = got;
	return r == ERROR_HANDLE_EOF ? 0 : r;
}

unsigned
os_write(unsigned handle, unsigned offset, const void *data, unsigned size)
{
	OVERLAPPED at = place(offset);
	DWORD done;

	return result(WriteFile(handle_of(handle), data, size, &done, &at));
}

unsigned
os_truncate(unsigned handle, unsigned size)
{
	if (SetFilePointer(handle_of(handle), (LONG)size, NULL, FILE_BEGIN) ==
	    INVALID_SET_FILE_POINTER)
		return GetLastError();

	return result(SetEndOfFile(handle_of(handle)));
}

unsigned
os_lock(unsigned handle, unsigned offset, unsigned size)
{
	return result(LockFile(handle_of(handle), offset, 0, size, 0));
}

unsigned
os_unlock(unsigned handle, unsigned offset, unsigned size)
{
	return result(UnlockFile(handle_of(handle), offset, 0, size, 0));
}

unsigned
os_close(unsigned handle)
{
	return result(CloseHandle(handle_of(handle)));
}

unsigned
os_delete(const char *name)
{
	return result(DeleteFileA(name));
}

unsigned
os_rename(const char *name, const char *new_name)
{
	return result(MoveFileA(name, new_name));
}

unsigned
os_find(const char *name, char *ret_name)
{
	WIN32_FIND_DATAA found;
	HANDLE search = FindFirstFileA(name, &found);

	if (search == INVALID_HANDLE_VALUE)
		return GetLastError();

	(void)lstrcpynA(ret_name, found.cFileName, 16);
	return result(FindClose(search));
}

void
os_end(unsigned code)
{
	ExitProcess(code);
}

int
main(void)
{
	obey();
	return 0;
}
