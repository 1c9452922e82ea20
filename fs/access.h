/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "fs/config.h"
#include "store/store.h"

/**
 * Who may do what. The kernel does not check (default_permissions costs a
 * third of all requests), so every operation asks here.
 *
 * Root may do everything. For others the owner, group or other bits decide, as
 * reported after uid=, gid= and umask=. Supplementary groups are not known.
 *
 * Functions return 0, -EACCES or -EPERM, or an error of the store.
 */

/** Who asks. */
typedef struct FsCaller {
	uid_t uid;
	gid_t gid;
} FsCaller;

/** Overlays @attr with the owner and permissions that shall be reported. */
void fs_access_report(const FsConfig *config, StoreAttr *attr);

/** Whether @caller has the R_OK, W_OK and X_OK in @mask on a reported @attr. */
int fs_access_check(const FsCaller *caller, const StoreAttr *attr, int mask);

/** Whether @caller owns a reported @attr, as chmod and utimes demand. */
int fs_access_check_owner(const FsCaller *caller, const StoreAttr *attr);

/**
 * Whether @caller may give a reported @attr to @uid and @gid. Only root may,
 * and not even root where uid= or gid= decides; no change is allowed to all.
 */
int fs_access_check_chown(const FsConfig *config, const FsCaller *caller,
                          const StoreAttr *attr, uid_t uid, gid_t gid);

/**
 * Whether the DOS attribute R of file @node lets @caller write, replace or
 * delete it. It binds everybody but root, unless dos-sharing is off.
 */
int fs_access_check_dos(const FsConfig *config, const FsCaller *caller,
                        StoreTxn *txn, StoreNode node);
