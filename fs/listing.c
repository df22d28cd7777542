/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directory listings: LIST pages become children, and stay believed for metadata_ttl. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/internal.h"
#include "fs/keys.h"
#include "s3/base/log.h"

#define EMPTIED_KEPT_MS 60000

struct listing {
	struct fs *fs;
	struct node *dir; /* one reference */
	int64_t start_ms;
	struct hidden_ask ask;
	size_t prefix_len;
	bool empty; /* no entry at all so far, not even the directory's marker */
};

bool listing_is_fresh_locked(const struct fs *fs, const struct node *dir, int64_t start_ms)
{
	const struct directory *d = dir->dir;

	if (dir == fs->root)
		return true;
	if (d->listing != LISTING_COMPLETE && d->listing != LISTING_PARTIAL)
		return false;
	return d->listed_ms >= start_ms || d->listed_ms + fs->config->metadata_ttl_ms > fs_now_ms(fs);
}

/* S3 does not show N any more (and nothing of ours keeps it). */
static void drop_child(struct fs *fs, struct node *n)
{
	struct directory *d = n->dir;

	if (d)
		d->listing = d->listing == LISTING_RUNNING ? d->listing : LISTING_NONE;
	n->unlinked = true;
	if (n->dir && n->dir->children) {
		struct node *child, *tmp;

		HASH_ITER(hh_child, n->dir->children, child, tmp) {
			if (node_is_ours_locked(child))
				continue;
			node_ref_locked(child);
			drop_child(fs, child);
			node_unref_locked(fs, child);
		}
	}
	node_ref_locked(n);
	if (!n->dir || !n->dir->children)
		node_detach_locked(fs, n);
	node_unref_locked(fs, n);
}

static struct node *replace_child(struct fs *fs, struct node *dir, struct node *old, enum node_kind kind, const char *name)
{
	struct node *n;

	if (old) {
		node_ref_locked(old);
		drop_child(fs, old);
		node_unref_locked(fs, old);
		if (node_child_locked(dir, name))
			return NULL; /* something of ours is still below it: ours counts */
	}
	n = node_new_locked(fs, kind, name);
	if (n)
		node_attach_locked(dir, n);
	return n;
}

/* What a page says about one object. */
static void take_object(struct listing *l, struct node *n, const struct s3_list_entry *e)
{
	const struct s3_bucket *bucket = l->fs->buckets[n->bucket];
	struct sched_source *base = n->base;
	bool same = base && !strcmp(base->etag, e->etag) && base->size_bytes == e->size_bytes;

	if (n->checked_seq > l->ask.seq && base)
		return; /* what we know is younger than this page */
	n->checked_ms = l->start_ms;
	n->checked_seq = l->ask.seq;
	if (same && n->last_modified.tv_sec == e->last_modified.tv_sec)
		return;
	n->last_modified = e->last_modified;
	n->meta_known = false;
	n->mtime = e->last_modified;
	if (same)
		return; /* the bytes are; its attributes may have changed */
	if (base)
		node_is_stale_locked(l->fs, n);
	n->base = sched_source_new(bucket, e->key, e->etag, e->size_bytes);
	sched_source_unref(base);
	n->size_bytes = e->size_bytes;
	free(n->target);
	n->target = NULL;
}

static void take_entry(struct listing *l, const struct s3_list_entry *e)
{
	struct fs *fs = l->fs;
	struct node *dir = l->dir, *n;
	const char *piece = e->key + l->prefix_len;
	size_t len = strlen(piece);
	char name[KEY_NAME_MAX + 1], beside[KEY_NAME_MAX + 1];
	enum node_kind kind = e->is_prefix ? NODE_DIRECTORY : NODE_FILE;

	if (e->is_prefix) {
		assert(len && piece[len - 1] == '/');
		len--;
	} else if (!len && !e->size_bytes) {
		return; /* the directory's own marker */
	}
	if (key_piece_to_name(piece, len, false, name) < 0) {
		log_warn("%s: the key %s does not fit into a file name and is not shown", s3_bucket_label(fs->buckets[dir->bucket]), e->key);
		return;
	}
	n = node_child_locked(dir, name);
	if (hidden_from_locked(fs, dir->bucket, e->key, &l->ask) && (!n || !!n->dir != e->is_prefix))
		return; /* what is being deleted */
	if (kind == NODE_FILE && n && n->dir && key_piece_to_name(piece, len, true, beside) > 0 &&
	    (n->listing_round == dir->dir->listing_round || node_child_locked(dir, beside))) {
		/* Beside a directory of this listing, or of the one before. */
		memcpy(name, beside, sizeof(name));
		n = node_child_locked(dir, name);
	} else if (kind == NODE_DIRECTORY && n && !n->dir && n->listing_round == dir->dir->listing_round &&
		   !node_is_ours_locked(n)) {
		/* The object came first: it gives its plain name to the directory. */
		if (key_piece_to_name(piece, len, true, beside) > 0 && !node_child_locked(dir, beside)) {
			node_ref_locked(n);
			node_detach_locked(fs, n);
			if (!node_rename_locked(n, beside))
				node_attach_locked(dir, n);
			node_unref_locked(fs, n);
			n = NULL;
		}
	}
	if (n && node_is_ours_locked(n)) {
		n->listing_round = dir->dir->listing_round;
		return;
	}
	if (!n || !!n->dir != e->is_prefix) {
		n = replace_child(fs, dir, n, kind, name);
		if (!n)
			return;
	}
	n->listing_round = dir->dir->listing_round;
	if (e->is_prefix) {
		n->checked_ms = l->start_ms;
		n->checked_seq = l->ask.seq > n->checked_seq ? l->ask.seq : n->checked_seq;
	} else {
		take_object(l, n, e);
	}
}

/* In S3 a directory without a marker ends with its last object. To a program here that empties it, it is there until it is removed: `rm -r`
 * could not end well otherwise. */
static bool is_kept(const struct fs *fs, const struct node *n)
{
	return n->dir && n->dir->taken_from_ms && n->dir->taken_from_ms + EMPTIED_KEPT_MS > fs_now_ms(fs);
}

static void drop_unseen(struct listing *l)
{
	struct node *n, *tmp;

	HASH_ITER(hh_child, l->dir->dir->children, n, tmp) {
		if (n->listing_round == l->dir->dir->listing_round || n->checked_seq > l->ask.seq || node_is_ours_locked(n))
			continue;
		if (is_kept(l->fs, n)) {
			n->listing_round = l->dir->dir->listing_round;
			n->checked_ms = l->start_ms;
			continue;
		}
		drop_child(l->fs, n);
	}
}

static void listing_page(void *arg, struct s3_request *req);

static void listing_send(struct listing *l, const char *prefix, char *token)
{
	struct s3_request *req = s3_request_new(S3_OP_LIST, l->fs->buckets[l->dir->bucket], NULL);

	assert(req);
	req->prefix = strdup(prefix);
	req->delimiter = strdup("/");
	req->token = token;
	l->prefix_len = strlen(prefix);
	sched_request(l->fs->sched, req, SCHED_INTERACTIVE, listing_page, l);
}

static void listing_end(struct listing *l, enum listing_state state)
{
	struct fs *fs = l->fs;
	struct node *dir = l->dir, *n, *tmp;

	hidden_ask_end_locked(fs, &l->ask);
	dir->dir->listing = state;
	dir->dir->listed_ms = l->start_ms;
	if (dir->dir->listing_again) {
		dir->dir->listing = LISTING_NONE;
		dir->dir->listing_errno = -listing_start_locked(fs, dir, dir->dir->listing_whole);
	}
	if (dir->dir->listing != LISTING_RUNNING) {
		ahead_of_listing_locked(fs, dir);
		call_wake_locked(&dir->dir->waiters);
	}
	/* Those that only the running listing held. */
	HASH_ITER(hh_child, dir->dir->children, n, tmp)
		node_maybe_free_locked(fs, n);
	node_unref_locked(fs, dir);
	free(l);
}

static void listing_page(void *arg, struct s3_request *req)
{
	struct listing *l = arg;
	struct fs *fs = l->fs;
	struct directory *d;

	fs_lock(fs);
	d = l->dir->dir;
	if (req->result.error) {
		log_warn("%s", req->result.message);
		d->listing_errno = s3_error_errno(req->result.error);
		listing_end(l, LISTING_NONE);
		goto out;
	}
	d->listing_errno = 0;
	for (size_t i = 0; i < req->result.entry_count; i++) {
		const struct s3_list_entry *e = &req->result.entries[i];

		if (strncmp(e->key, req->prefix, l->prefix_len) != 0)
			continue; /* a server that answers what was not asked */
		l->empty = false;
		take_entry(l, e);
	}
	if (req->result.next_token && d->listing_whole) {
		char *token = strdup(req->result.next_token);

		listing_send(l, req->prefix, token);
		goto out;
	}
	if (req->result.next_token) {
		listing_end(l, LISTING_PARTIAL);
		goto out;
	}
	if (!node_is_moving_locked(fs, l->dir))
		drop_unseen(l);
	if (l->empty && !l->dir->is_bucket && l->dir->parent && !l->dir->dir->children &&
	    l->dir->checked_seq <= l->ask.seq && !l->dir->change && !is_kept(fs, l->dir))
		drop_child(fs, l->dir); /* no object has this prefix: the directory is gone */
	listing_end(l, LISTING_COMPLETE);
out:
	fs_unlock(fs);
	s3_request_free(req);
}

int listing_start_locked(struct fs *fs, struct node *dir, bool whole)
{
	CLEANUP_STRBUF struct strbuf prefix = STRBUF_INIT;
	struct directory *d = dir->dir;
	struct listing *l;
	int err;

	if (d->listing == LISTING_RUNNING) {
		d->listing_whole |= whole;
		return 0;
	}
	err = node_key_locked(fs, dir, &prefix);
	l = err ? NULL : calloc(1, sizeof(*l));
	if (!l)
		return err ? err : -ENOMEM;
	l->fs = fs;
	l->dir = dir;
	l->start_ms = fs_now_ms(fs);
	hidden_ask_begin_locked(fs, &l->ask);
	l->empty = true;
	node_ref_locked(dir);
	d->listing = LISTING_RUNNING;
	d->listing_whole = whole;
	d->listing_again = false;
	d->listing_errno = 0;
	d->listing_round++;
	listing_send(l, prefix.data ? prefix.data : "", NULL);
	return 0;
}
