/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/identity.h"

#include <errno.h>

#include "fs/thread_group.h"

struct FsIdentity {
	pid_t pid;
	int pidfd;    /* borrowed */
	GMutex mutex; /* guards what follows */
	bool has_name;
	bool is_smbd;
	FsPeer *peer;           /* owned; NULL until it is known */
	FsProcReading *looking; /* for it: owned, or NULL */
};

FsIdentity *
fs_identity_new(pid_t pid, int pidfd)
{
	FsIdentity *identity = g_new0(FsIdentity, 1);

	identity->pid = pid;
	identity->pidfd = pidfd;
	g_mutex_init(&identity->mutex);
	return identity;
}

void
fs_identity_free(FsIdentity *identity)
{
	if (identity == NULL)
		return;

	fs_proc_unref(identity->looking);
	g_free(identity->peer);
	g_mutex_clear(&identity->mutex);
	g_free(identity);
}

/* ---- its name ------------------------------------------------------------*/

bool
fs_identity_has_name(FsIdentity *identity)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&identity->mutex);

	return identity->has_name;
}

/* A process that waits for us does not change its name meanwhile. The names of
 * smbd's children begin alike: "smbd[10.0.0.1]". */
bool
fs_identity_find_name(FsIdentity *identity, FsProcPatience patience,
                      bool *ret_is_smbd)
{
	char name[FS_THREAD_GROUP_NAME_SIZE] = "";
	bool is_read = !fs_identity_has_name(identity);

	if (is_read &&
	    (identity->pidfd < 0 ||
	     fs_thread_group_name(identity->pid, patience, name) < 0))
		return false;

	g_mutex_lock(&identity->mutex);
	if (is_read)
		identity->is_smbd = g_str_has_prefix(name, "smbd");
	identity->has_name = true;
	*ret_is_smbd = identity->is_smbd;
	g_mutex_unlock(&identity->mutex);
	return true;
}

/* ---- its peer ------------------------------------------------------------*/

/* Called with @identity locked: takes what a look has found by now. */
static void
peer_settle(FsIdentity *identity)
{
	FsPeer peer;
	int r;

	if (identity->looking == NULL)
		return;

	r = fs_proc_peek(identity->looking, &peer, sizeof peer);
	if (r == -EAGAIN)
		return;
	if (r == 0)
		identity->peer = g_memdup2(&peer, sizeof peer);
	g_clear_pointer(&identity->looking, fs_proc_unref);
}

bool
fs_identity_peer(FsIdentity *identity, FsPeer *ret_peer)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&identity->mutex);

	peer_settle(identity);
	if (identity->peer != NULL)
		*ret_peer = *identity->peer;
	return identity->peer != NULL;
}

void
fs_identity_find_peer(FsIdentity *identity)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&identity->mutex);

	peer_settle(identity);
	if (identity->pidfd >= 0 && identity->peer == NULL &&
	    identity->looking == NULL)
		identity->looking =
			fs_peer_look(identity->pid, identity->pidfd);
}

void
fs_identity_await_peer(FsIdentity *identity)
{
	g_autoptr(FsProcReading) looking = NULL;

	fs_identity_find_peer(identity);
	g_mutex_lock(&identity->mutex);
	if (identity->looking != NULL)
		looking = fs_proc_ref(identity->looking);
	g_mutex_unlock(&identity->mutex);
	if (looking != NULL)
		fs_proc_await(looking);
}
