/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/view.h"

#include <string.h>

#define SLOT_SHIFT 48
#define NODE_MASK  (((uint64_t)1 << SLOT_SHIFT) - 1)

#define NS_PER_S 1000000000

uint64_t
fs_view_nodeid(unsigned slot, LayoutKind kind, StoreNode node)
{
	g_assert(slot <= FS_VIEW_SLOT_MAX);
	g_assert(node <= NODE_MASK);

	if (kind == LAYOUT_PLAIN)
		return node;

	return (uint64_t)slot << SLOT_SHIFT | node;
}

StoreNode
fs_view_node(uint64_t nodeid)
{
	return nodeid & NODE_MASK;
}

unsigned
fs_view_slot(uint64_t nodeid)
{
	return (unsigned)(nodeid >> SLOT_SHIFT);
}

bool
fs_view_is_own(uint64_t nodeid)
{
	return nodeid > NODE_MASK;
}

double
fs_view_entry_timeout_s(const FsConfig *config, uint64_t nodeid,
                        const char *spelled, const char *stored)
{
	if (strcmp(spelled, stored) != 0)
		return 0;

	return fs_view_attr_timeout_s(config, nodeid);
}

double
fs_view_attr_timeout_s(const FsConfig *config, uint64_t nodeid)
{
	return fs_view_is_own(nodeid) ? 0 : (double)config->plain_timeout_s;
}

/* Rounds down, also before 1970: tv_nsec is never negative. */
static struct timespec
timespec_of(int64_t ns)
{
	int64_t s = ns / NS_PER_S;
	int64_t rest = ns % NS_PER_S;

	if (rest < 0) {
		s--;
		rest += NS_PER_S;
	}

	return (struct timespec){ .tv_sec = s, .tv_nsec = rest };
}

int64_t
fs_view_time_ns(const struct timespec *time)
{
	int64_t ns;

	if (!__builtin_mul_overflow(time->tv_sec, (int64_t)NS_PER_S, &ns) &&
	    !__builtin_add_overflow(ns, time->tv_nsec, &ns))
		return ns;

	return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
}

struct stat
fs_view_stat(const FsNumbers *numbers, const StoreAttr *attr)
{
	bool is_dir = S_ISDIR(attr->mode);

	/* A directory has 1 link: "nobody counts", so that find(1) does not
	 * conclude from it how many subdirectories there are. */
	return (struct stat){
		.st_ino = fs_numbers_get(numbers, attr),
		.st_mode = attr->mode,
		.st_nlink = is_dir || attr->parent != 0 ? 1 : 0,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_size = (off_t)attr->size,
		.st_blksize = 4096,
		.st_blocks = (blkcnt_t)((attr->size + 511) / 512),
		.st_atim = timespec_of(attr->atime_ns),
		.st_mtim = timespec_of(attr->mtime_ns),
		.st_ctim = timespec_of(attr->ctime_ns),
	};
}
