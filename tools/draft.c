/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/draft.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "tools/sync.h"
#include "tools/tool.h"

struct ToolDraft {
	Store *store; /* owned */
	char *path;   /* where it shall be */
	char *dir;    /* where it grows; path itself if that was there */
	bool is_beside;
	bool is_created; /* there are files of ours in dir */
	ToolOwner owner;
};

static bool
is_empty(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

	return dir != NULL && g_dir_read_name(dir) == NULL;
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

	/* A draft in a place that is taken is refused by store_create(). */
	if (lstat(draft->path, &st) == 0) {
		draft->dir = g_strdup(draft->path);
		if (owner == NULL && geteuid() == 0)
			draft->owner = (ToolOwner){ st.st_uid, st.st_gid };
		return 0;
	}

	draft->dir = g_strconcat(draft->path, ".new-XXXXXX", NULL);
	if (g_mkdtemp_full(draft->dir, 0700) == NULL)
		return tool_fail(error, -errno, "cannot create %s: %s",
		                 draft->path, g_strerror(errno));
	draft->is_beside = true;
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

int
tool_draft_publish(ToolDraft **draft, GError **error)
{
	g_autoptr(ToolDraft) d = g_steal_pointer(draft);
	int r;

	r = store_close(g_steal_pointer(&d->store));
	if (r < 0)
		return tool_fail(error, r, "%s was not saved: %s", d->path,
		                 g_strerror(-r));
	r = tool_owner_give(&d->owner, d->dir, error);
	if (r < 0)
		return r;
	if (d->is_beside) {
		if (rename(d->dir, d->path) < 0)
			return tool_fail(error, -errno,
			                 "cannot rename %s to %s: %s", d->dir,
			                 d->path, g_strerror(errno));
		r = tool_sync_parent(d->path, error);
	}

	/* It is the administrator's now. */
	g_clear_pointer(&d->dir, g_free);
	return r;
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

void
tool_draft_free(ToolDraft *draft)
{
	if (draft == NULL)
		return;

	/* It is thrown away: whether its last commit worked is no matter. */
	(void)store_close(draft->store);
	if (draft->dir != NULL && draft->is_created)
		remove_files(draft->dir);
	if (draft->dir != NULL && draft->is_beside)
		(void)rmdir(draft->dir);
	g_free(draft->dir);
	g_free(draft->path);
	g_free(draft);
}
