/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/access.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/dos_attr.h"

/* More than smbd of any version writes; what is longer is not its. */
#define DOS_ATTR_READ_MAX 256

void
fs_access_report(const FsConfig *config, StoreAttr *attr)
{
	if (config->uid != FS_CONFIG_STORED)
		attr->uid = (uid_t)config->uid;
	if (config->gid != FS_CONFIG_STORED)
		attr->gid = (gid_t)config->gid;
	if (config->umask != FS_CONFIG_STORED)
		attr->mode =
			(attr->mode & S_IFMT) | (0777 & ~(mode_t)config->umask);
}

int
fs_access_check(const FsCaller *caller, const StoreAttr *attr, int mask)
{
	unsigned shift = 0;

	if (caller->uid == 0)
		return 0;

	if (caller->uid == attr->uid)
		shift = 6;
	else if (caller->gid == attr->gid)
		shift = 3;

	return (mask & ~(attr->mode >> shift)) == 0 ? 0 : -EACCES;
}

int
fs_access_check_owner(const FsCaller *caller, const StoreAttr *attr)
{
	return caller->uid == 0 || caller->uid == attr->uid ? 0 : -EPERM;
}

int
fs_access_check_chown(const FsConfig *config, const FsCaller *caller,
                      const StoreAttr *attr, uid_t uid, gid_t gid)
{
	bool uid_changes = uid != attr->uid;
	bool gid_changes = gid != attr->gid;

	if ((uid_changes && config->uid != FS_CONFIG_STORED) ||
	    (gid_changes && config->gid != FS_CONFIG_STORED))
		return -EPERM;

	if ((uid_changes || gid_changes) && caller->uid != 0)
		return -EPERM;

	return 0;
}

int
fs_access_check_dos(const FsConfig *config, const FsCaller *caller,
                    StoreTxn *txn, StoreNode node)
{
	uint8_t value[DOS_ATTR_READ_MAX];
	uint32_t attr;
	size_t size;
	int r;

	if (caller->uid == 0 || !config->dos_sharing)
		return 0;

	r = store_xattr_get(txn, node, DOS_ATTR_XATTR, value, sizeof value,
	                    &size);
	if (r == -ENODATA || r == -ERANGE)
		return 0;
	if (r < 0)
		return r;

	if (dos_attr_decode(value, size, &attr) &&
	    (attr & DOS_ATTR_READ_ONLY) != 0)
		return -EACCES;

	return 0;
}
