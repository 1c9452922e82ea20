/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "tools/sync.h"
#include "tools/tool.h"

#define GROWING   ".new-"
#define DATA_FILE "data.mdb"

struct ToolDraft {
	Store *store; /* owned */
	char *path;   /* where it shall be */
	char *dir;    /* where it grows: beside path, or in it */
	bool is_beside;
	bool is_created; /* there are files of ours in dir */
	ToolOwner owner;
};

/* Whether there is nothing but what a power cut left of another draft. */
static bool
is_empty(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	if (dir == NULL)
		return false;
	while ((name = g_dir_read_name(dir)) != NULL)
		if (!g_str_has_prefix(name, GROWING))
			return false;
	return true;
}

bool
tool_draft_is_possible(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? errno == ENOENT : is_empty(path);
}

/* Finds the directory in which @draft grows, and so, perhaps, its owner. */
static int
find_place(ToolDraft *draft, const ToolOwner *owner, GError **error)
{
	struct stat st;

	draft->is_beside = stat(draft->path, &st) < 0;
	/* Nobody would open for writing what is in there (store/place.h). */
	if (!draft->is_beside && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return tool_fail(error, -EPERM,
		                 "%s: others may write to the store's "
		                 "directory: its mode is %03o, not 700",
		                 draft->path, st.st_mode & ACCESSPERMS);
	if (!draft->is_beside && owner == NULL && geteuid() == 0)
		draft->owner = (ToolOwner){ st.st_uid, st.st_gid };
	draft->dir = g_strconcat(draft->path, draft->is_beside ? "" : "/",
	                         GROWING "XXXXXX", NULL);
	if (g_mkdtemp_full(draft->dir, 0700) == NULL)
		return tool_fail(error, -errno, "cannot create %s: %s",
		                 draft->path, g_strerror(errno));
	return 0;
}

static int
make_store(ToolDraft *draft, uint64_t map_size, GError **error)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	g_autofree char *reason = NULL;
	int r;

	options.map_size = map_size;
	r = store_create(draft->dir, &options, &reason);
	return r < 0 ? tool_fail(error, r, "%s", reason) : 0;
}

int
tool_draft_open(ToolDraft *draft, StoreAccess access, GError **error)
{
	g_autofree char *reason = NULL;
	int r;

	draft->is_created = true;
	r = store_open(draft->dir, access, NULL, &draft->store, &reason);
	return r < 0 ? tool_fail(error, r, "%s", reason) : 0;
}

int
tool_draft_begin_empty(const char *path, const ToolOwner *owner,
                       ToolDraft **ret_draft, GError **error)
{
	g_autoptr(ToolDraft) draft = NULL;
	int r;

	if (!tool_draft_is_possible(path))
		return tool_fail(error, -EEXIST,
		                 "%s is there already: a new "
		                 "store needs a new or an empty directory",
		                 path);
	draft = g_new0(ToolDraft, 1);
	draft->path = g_canonicalize_filename(path, NULL);
	draft->owner = owner != NULL ? *owner : tool_owner_self();
	r = find_place(draft, owner, error);
	if (r < 0)
		return r;

	*ret_draft = g_steal_pointer(&draft);
	return 0;
}

int
tool_draft_begin(const char *path, uint64_t map_size, const ToolOwner *owner,
                 ToolDraft **ret_draft, GError **error)
{
	g_autoptr(ToolDraft) draft = NULL;
	int r;

	r = tool_draft_begin_empty(path, owner, &draft, error);
	if (r == 0)
		r = make_store(draft, map_size, error);
	if (r == 0)
		r = tool_draft_open(draft, STORE_WRITE, error);
	if (r < 0)
		return r;

	*ret_draft = g_steal_pointer(&draft);
	return 0;
}

const char *
tool_draft_dir(const ToolDraft *draft)
{
	return draft->dir;
}

Store *
tool_draft_store(ToolDraft *draft)
{
	return draft->store;
}

const ToolOwner *
tool_draft_owner(const ToolDraft *draft)
{
	return &draft->owner;
}

/* A store's files lie flat in their directory. */
static void
remove_files(const char *dir)
{
	g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
	const char *name;

	while (files != NULL && (name = g_dir_read_name(files)) != NULL) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		(void)g_remove(path);
	}
}

/* Moves what has grown to its place: the moment when the store is there. Never
 * over another database: two may create at once. */
static int
move_up(const ToolDraft *draft, GError **error)
{
	g_autofree char *from = g_build_filename(draft->dir, DATA_FILE, NULL);
	g_autofree char *to = g_build_filename(draft->path, DATA_FILE, NULL);
	int r;

	if (draft->is_beside)
		r = rename(draft->dir, draft->path);
	else
		r = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
	if (r < 0)
		return tool_fail(error, -errno, "cannot rename %s to %s: %s",
		                 draft->dir, draft->path, g_strerror(errno));
	return 0;
}

int
tool_draft_publish(ToolDraft **draft, GError **error)
{
	g_autoptr(ToolDraft) d = g_steal_pointer(draft);
	g_autofree char *file = g_build_filename(d->path, DATA_FILE, NULL);
	int r;

	r = store_close(g_steal_pointer(&d->store));
	if (r < 0)
		return tool_fail(error, r, "%s was not saved: %s", d->path,
		                 g_strerror(-r));
	r = tool_owner_give(&d->owner, d->dir, error);
	if (r == 0 && !d->is_beside)
		r = tool_owner_give(&d->owner, d->path, error);
	if (r == 0)
		r = move_up(d, error);
	if (r < 0)
		return r;

	/* It is the administrator's now. In a directory that was there, what is
	 * left of the draft is made anew when the store is opened. */
	if (d->is_beside)
		g_clear_pointer(&d->dir, g_free);
	return tool_sync_parent(d->is_beside ? d->path : file, error);
}

void
tool_draft_free(ToolDraft *draft)
{
	if (draft == NULL)
		return;

	/* It is thrown away: whether its last commit worked is no matter. */
	(void)store_close(draft->store);
	if (draft->dir != NULL && draft->is_created)
		remove_files(draft->dir);
	if (draft->dir != NULL)
		(void)rmdir(draft->dir);
	g_free(draft->dir);
	g_free(draft->path);
	g_free(draft);
}
