/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading directories: a handle keeps the entries as they were when it was read from the start. */
#include "fs/readdir.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/content.h"
#include "fs/names.h"

void fs_opendir(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n;

	fs_lock(fs);
	call_begin_locked(fs, c);
	n = node_by_ino_locked(fs, c->ino);
	if (!n || !n->dir) {
		call_finish_locked(c, n ? ENOTDIR : ESTALE);
	} else {
		c->handle = handle_new_locked(fs, n);
		call_finish_locked(c, c->handle ? 0 : ENOMEM);
	}
	fs_unlock(fs);
}

static int take_entries(struct fs *fs, struct handle *h)
{
	struct node *dir = h->node, *n;
	size_t count = HASH_CNT(hh_child, dir->dir->children), i = 0;
	struct node **entries = calloc(count + 1, sizeof(struct node *));

	if (!entries)
		return ENOMEM;
	for (size_t k = 0; k < h->entry_count; k++)
		node_unref_locked(fs, h->entries[k]);
	free(h->entries);
	for (n = dir->dir->children; n; n = n->hh_child.next) {
		node_ref_locked(n);
		entries[i++] = n;
	}
	h->entries = entries;
	h->entry_count = i;
	h->entries_known = true;
	return 0;
}

static void readdir_step(struct call *c)
{
	struct fs *fs = c->fs;
	struct handle *h = c->handle;
	struct directory *d = h->node->dir;
	int err;

	ahead_of_walk_locked(fs, h->node);
	if (h->node->unlinked || (d->listing == LISTING_COMPLETE && listing_is_fresh_locked(fs, h->node, c->start_ms))) {
		call_finish_locked(c, take_entries(fs, h));
		return;
	}
	if (c->step && d->listing == LISTING_NONE && d->listing_errno) {
		call_finish_locked(c, d->listing_errno);
		return;
	}
	c->step = 1;
	err = listing_start_locked(fs, h->node, true);
	if (err)
		call_finish_locked(c, -err);
	else
		call_wait_locked(c, &d->waiters, readdir_step);
}

void fs_readdir(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	if (c->offset && c->handle->entries_known)
		call_finish_locked(c, 0);
	else
		readdir_step(c);
	fs_unlock(c->fs);
}

bool fs_readdir_entry(struct handle *h, size_t index, bool lookup, struct dir_entry *out)
{
	struct fs *fs = h->fs;
	struct node *n;

	fs_lock(fs);
	if (index >= h->entry_count) {
		fs_unlock(fs);
		return false;
	}
	n = h->entries[index];
	snprintf(out->name, sizeof(out->name), "%s", n->name);
	node_stat_locked(fs, n, &out->stat);
	out->known = !n->unlinked && n->parent == h->node && (n->meta_known || node_is_ours_locked(n));
	if (lookup && out->known)
		n->lookups++;
	fs_unlock(fs);
	return true;
}

void fs_readdir_undo(struct handle *h, size_t index)
{
	struct node *n;

	fs_lock(h->fs);
	assert(index < h->entry_count);
	n = h->entries[index];
	assert(n->lookups);
	n->lookups--;
	fs_unlock(h->fs);
}

void fs_releasedir(struct call *c)
{
	struct fs *fs = c->fs;
	struct handle *h = c->handle;

	fs_lock(fs);
	call_begin_locked(fs, c);
	names_release_locked(fs, h->node);
	call_finish_locked(c, 0);
	fs_unlock(fs);
	handle_put(fs, h);
}
