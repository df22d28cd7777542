/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a name to a node with attributes that may be believed: listings, HEADs that run ahead, and probes of single names in
 * directories too long to list for one lookup. */
#include "fs/lookup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/keys.h"
#include "s3/base/log.h"

/* A directory's own attributes live in its marker, which no listing dates: they are asked for again after this. */
#define DIRECTORY_META_TTL_MS 60000

/* ------------------------------------------------------------------------------------------------- fresh? */

static bool is_recent(const struct fs *fs, int64_t ms, int64_t start_ms)
{
	return ms && (ms >= start_ms || ms + fs->config->metadata_ttl_ms > fs_now_ms(fs));
}

static bool exists_freshly(const struct fs *fs, const struct node *n, int64_t start_ms)
{
	if (is_recent(fs, n->checked_ms, start_ms))
		return true;
	if (n->parent && n->parent->dir->listing == LISTING_COMPLETE && listing_is_fresh_locked(fs, n->parent, start_ms) &&
	    n->listing_round == n->parent->dir->listing_round)
		return true;
	return n->dir && n->dir->listing != LISTING_NONE && listing_is_fresh_locked(fs, n, start_ms);
}

bool node_is_fresh_locked(const struct fs *fs, const struct node *n, int64_t start_ms)
{
	if (n == fs->root || n->is_bucket || node_is_ours_locked(n))
		return true;
	if (!n->meta_known)
		return false;
	if (n->dir && n->head_ms && n->head_ms + DIRECTORY_META_TTL_MS < fs_now_ms(fs) && n->head_ms < start_ms)
		return false;
	return exists_freshly(fs, n, start_ms);
}

/* --------------------------------------------------------------------------------------------------- HEAD */

struct head {
	struct fs *fs;
	struct node *node; /* one reference */
	int64_t start_ms;
	uint64_t start_seq;
};

/* What HEAD says about N, unless we know better by now. */
static void head_take(struct fs *fs, struct node *n, const struct s3_request *req)
{
	const struct s3_result *r = &req->result;

	if (!n->dir && (!n->base || strcmp(n->base->etag, r->etag) != 0 || n->base->size_bytes != r->size_bytes)) {
		struct sched_source *base = sched_source_new(req->bucket, req->key, r->etag, r->size_bytes);

		if (n->base)
			node_is_stale_locked(fs, n);
		sched_source_unref(n->base);
		n->base = base;
		n->size_bytes = r->size_bytes;
		free(n->target);
		n->target = NULL;
	}
	node_apply_headers_locked(fs, n, &r->headers, r->last_modified);
}

static bool is_same_object(const struct node *n, const struct s3_result *r)
{
	return !r->error && n->base && !strcmp(n->base->etag, r->etag);
}

static void head_done(void *arg, struct s3_request *req)
{
	struct head *h = arg;
	struct fs *fs = h->fs;
	struct node *n = h->node;

	fs_lock(fs);
	n->head_running = false;
	n->head_errno = 0;
	n->head_ms = fs_now_ms(fs);
	if (node_is_ours_locked(n) || node_is_moving_locked(fs, n) || (n->checked_seq > h->start_seq && !is_same_object(n, &req->result))) {
		/* what we know is younger than this answer */
	} else if (!req->result.error) {
		head_take(fs, n, req);
		if (!n->dir && h->start_seq > n->checked_seq) {
			n->checked_ms = h->start_ms;
			n->checked_seq = h->start_seq;
		}
	} else if (req->result.error == S3_ERR_NOT_FOUND && n->dir) {
		n->meta_known = true; /* no marker: a directory by the keys below it */
	} else if (req->result.error == S3_ERR_NOT_FOUND) {
		n->head_errno = ENOENT;
		n->unlinked = true;
		node_detach_locked(fs, n);
	} else {
		if (req->result.error != S3_ERR_CANCELLED)
			log_warn("%s", req->result.message);
		n->head_errno = s3_error_errno(req->result.error);
	}
	call_wake_locked(&n->waiters);
	node_unref_locked(fs, n);
	fs_unlock(fs);
	s3_request_free(req);
	free(h);
}

int head_start_locked(struct fs *fs, struct node *n)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct s3_request *req;
	struct head *h;

	if (n->head_running)
		return 0;
	if (node_key_locked(fs, n, &key) < 0 || !key.len)
		return -ESTALE;
	req = s3_request_new(S3_OP_HEAD, fs->buckets[n->bucket], key.data);
	h = calloc(1, sizeof(*h));
	assert(req && h);
	*h = (struct head){.fs = fs, .node = n, .start_ms = fs_now_ms(fs), .start_seq = ++fs->next_ask};
	node_ref_locked(n);
	n->head_running = true;
	fs->stats.lookups_asked++;
	sched_request(fs->sched, req, SCHED_INTERACTIVE, head_done, h);
	return 0;
}

/* ------------------------------------------------------------------------------------------------- ensure */

bool node_ensure_locked(struct call *c, struct node *n, void (*resume)(struct call *c))
{
	struct fs *fs = c->fs;
	int err;

	if (node_is_fresh_locked(fs, n, c->start_ms)) {
		fs->stats.lookups_cached++;
		if (n->content && n->content->failed_errno && !node_is_ours_locked(n)) {
			call_finish_locked(c, n->content->failed_errno);
			return false;
		}
		return true;
	}
	if (n->unlinked && !n->refs && !n->content) {
		call_finish_locked(c, ENOENT);
		return false;
	}
	if (n->unlinked)
		return true; /* open or held: it stays what it was */
	if (n->head_errno && n->head_ms >= c->start_ms) {
		call_finish_locked(c, n->head_errno);
		return false;
	}
	if (!exists_freshly(fs, n, c->start_ms) && n->parent) {
		struct node *lister = NULL;

		/* One LIST of the parent dates all its children at once. */
		if (n->parent->dir->listing == LISTING_COMPLETE || n->parent->dir->listing == LISTING_RUNNING)
			lister = n->parent;
		else if (n->dir)
			lister = n;
		if (lister && lister->dir->listing_errno && lister->dir->listing == LISTING_NONE) {
			err = lister->dir->listing_errno;
			lister->dir->listing_errno = 0;
			call_finish_locked(c, err);
			return false;
		}
		if (lister) {
			err = listing_start_locked(fs, lister, false);
			if (err)
				call_finish_locked(c, -err);
			else
				call_wait_locked(c, &lister->dir->waiters, resume);
			return false;
		}
	}
	err = head_start_locked(fs, n);
	if (err) {
		call_finish_locked(c, -err);
		return false;
	}
	ahead_of_attributes_locked(fs, n);
	call_wait_locked(c, &n->waiters, resume);
	return false;
}

/* -------------------------------------------------------------------------------------------------- probe */

/* One name in a directory that is too long to list: HEAD of the object and one key of LIST below it, at once. */
struct probe {
	struct fs *fs;
	struct node *dir; /* one reference */
	char *name;
	struct call *waiters;
	int64_t start_ms;
	struct hidden_ask ask;
	unsigned running;
	struct s3_request *head, *list;
};

static void probe_take(struct probe *p)
{
	struct fs *fs = p->fs;
	bool is_dir = p->list && !p->list->result.error && p->list->result.entry_count &&
		      !hidden_from_locked(fs, p->dir->bucket, p->list->prefix, &p->ask);
	bool is_file = !p->head->result.error && !hidden_from_locked(fs, p->dir->bucket, p->head->key, &p->ask);
	struct node *n;

	if ((!is_dir && !is_file) || node_child_locked(p->dir, p->name))
		return;
	n = node_new_locked(fs, is_dir ? NODE_DIRECTORY : NODE_FILE, p->name);
	if (!n)
		return;
	node_attach_locked(p->dir, n);
	n->listing_round = p->dir->dir->listing_round;
	n->checked_ms = p->start_ms;
	n->checked_seq = p->ask.seq;
	if (!is_dir)
		head_take(fs, n, p->head);
}

static void probe_finish(struct probe *p)
{
	struct fs *fs = p->fs;
	enum s3_error error = p->head->result.error;

	if (error == S3_ERR_NOT_FOUND)
		error = p->list ? p->list->result.error : S3_OK;
	probe_take(p);
	hidden_ask_end_locked(fs, &p->ask);
	while (p->waiters) {
		struct call *c = p->waiters;

		DL_DELETE(p->waiters, c);
		c->queue = NULL;
		if (error)
			call_finish_locked(c, s3_error_errno(error));
		else
			c->resume(c);
	}
	node_unref_locked(fs, p->dir);
	s3_request_free(p->head);
	s3_request_free(p->list);
	free(p->name);
	free(p);
}

static void probe_done(void *arg, struct s3_request *req)
{
	struct probe *p = arg;
	struct fs *fs = p->fs;

	fs_lock(fs);
	if (req->op == S3_OP_HEAD)
		p->head = req;
	else
		p->list = req;
	if (!--p->running)
		probe_finish(p);
	fs_unlock(fs);
}

static void probe_start(struct call *c, struct node *dir, void (*resume)(struct call *c))
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	char piece[KEY_NAME_MAX + 1];
	struct fs *fs = c->fs;
	struct s3_request *req;
	struct probe *p;
	bool object_only;
	int len = key_name_to_piece(c->name, piece, &object_only);

	if (len < 0 || node_key_locked(fs, dir, &key) < 0) {
		call_finish_locked(c, ENOENT);
		return;
	}
	strbuf_add(&key, piece, (size_t)len);
	if (key.len > KEY_MAX_BYTES) {
		call_finish_locked(c, ENAMETOOLONG);
		return;
	}
	p = calloc(1, sizeof(*p));
	assert(p && key.data);
	p->fs = fs;
	p->dir = dir;
	p->name = strdup(c->name);
	p->start_ms = fs_now_ms(fs);
	hidden_ask_begin_locked(fs, &p->ask);
	node_ref_locked(dir);
	fs->stats.lookups_asked++;
	p->running = object_only ? 1 : 2;
	call_wait_locked(c, &p->waiters, resume);
	req = s3_request_new(S3_OP_HEAD, fs->buckets[dir->bucket], key.data);
	sched_request(fs->sched, req, SCHED_INTERACTIVE, probe_done, p);
	if (object_only)
		return;
	req = s3_request_new(S3_OP_LIST, fs->buckets[dir->bucket], NULL);
	strbuf_addch(&key, '/');
	req->prefix = strbuf_detach(&key);
	req->max_keys = 1;
	sched_request(fs->sched, req, SCHED_INTERACTIVE, probe_done, p);
}

/* ------------------------------------------------------------------------------------------------- lookup */

void call_entry_locked(struct call *c, struct node *n)
{
	n->lookups++;
	c->node = n;
	c->entry_ttl_ms = KERNEL_TTL_MS;
	node_stat_locked(c->fs, n, &c->stat);
	call_finish_locked(c, 0);
}

/* Its object is on its way out: nothing has to be asked for. */
static bool name_is_hidden(struct fs *fs, struct node *dir, const char *name)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	char piece[KEY_NAME_MAX + 1];
	bool object_only;

	if (!fs->hidden.keys || key_name_to_piece(name, piece, &object_only) < 0 || node_key_locked(fs, dir, &key) < 0)
		return false;
	strbuf_addstr(&key, piece);
	return hidden_now_locked(fs, dir->bucket, key.data);
}

enum { LOOKUP_START, LOOKUP_LISTED, LOOKUP_PROBED };

static void lookup_step(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *dir = node_by_ino_locked(fs, c->ino), *n;
	int err;

	if (!dir || !dir->dir) {
		call_finish_locked(c, dir ? ENOTDIR : ESTALE);
		return;
	}
	n = node_child_locked(dir, c->name);
	if (n) {
		if (n->content && n->content->failed_errno && !node_is_ours_locked(n))
			call_entry_locked(c, n); /* a failed file can be looked at; opening it says EIO */
		else if (node_ensure_locked(c, n, lookup_step))
			call_entry_locked(c, n);
		return;
	}
	if (c->step == LOOKUP_PROBED || dir == fs->root || name_is_hidden(fs, dir, c->name)) {
		call_finish_locked(c, ENOENT);
		return;
	}
	if (listing_is_fresh_locked(fs, dir, c->start_ms)) {
		if (dir->dir->listing == LISTING_COMPLETE) {
			fs->stats.lookups_cached++;
			call_finish_locked(c, ENOENT);
			return;
		}
		c->step = LOOKUP_PROBED;
		probe_start(c, dir, lookup_step);
		return;
	}
	if (dir->dir->listing_errno && dir->dir->listing == LISTING_NONE && c->step == LOOKUP_LISTED) {
		call_finish_locked(c, dir->dir->listing_errno);
		return;
	}
	c->step = LOOKUP_LISTED;
	err = listing_start_locked(fs, dir, false);
	if (err)
		call_finish_locked(c, -err);
	else
		call_wait_locked(c, &dir->dir->waiters, lookup_step);
}

void fs_lookup(struct call *c)
{
	struct fs *fs = c->fs;

	fs_lock(fs);
	call_begin_locked(fs, c);
	if (strlen(c->name) > KEY_NAME_MAX)
		call_finish_locked(c, ENAMETOOLONG);
	else
		lookup_step(c);
	fs_unlock(fs);
}

static void getattr_step(struct call *c)
{
	struct node *n = node_by_ino_locked(c->fs, c->ino);

	if (!n) {
		call_finish_locked(c, ESTALE);
		return;
	}
	if (n->content && n->content->failed_errno) {
		node_stat_locked(c->fs, n, &c->stat);
		call_finish_locked(c, 0);
		return;
	}
	if (!node_ensure_locked(c, n, getattr_step))
		return;
	node_stat_locked(c->fs, n, &c->stat);
	call_finish_locked(c, 0);
}

void fs_getattr(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	getattr_step(c);
	fs_unlock(c->fs);
}

void fs_forget(struct fs *fs, uint64_t ino, uint64_t nlookup)
{
	struct node *n;

	fs_lock(fs);
	n = node_by_ino_locked(fs, ino);
	if (n) {
		n->lookups = n->lookups > nlookup ? n->lookups - nlookup : 0;
		node_maybe_free_locked(fs, n);
	}
	fs_unlock(fs);
}
