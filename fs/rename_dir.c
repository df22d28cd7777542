/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rename of a directory inside its bucket: every object below it is copied by the server to its new key, and when all of them are
 * there the old ones are deleted. When a copy fails the copies are removed again and the directory stays where it was.
 *
 * S3 has no such operation, so this one waits: the answer comes when it is done. Meanwhile the directory is `moving`: commits below it are
 * put off, and get the new keys. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/file.h"
#include "fs/keys.h"
#include "fs/names.h"
#include "s3/base/log.h"

#define MOVES_AT_ONCE 64

enum move_phase {
	MOVE_LIST,
	MOVE_COPY,
	MOVE_DELETE, /* the originals; or, after a failure, the copies */
};

struct move_dir {
	struct fs *fs;
	struct call *call;             /* NULL: interrupted, and answered */
	atomic_bool interrupted;       /* stop while nothing was deleted yet */
	char *name;                    /* the new one */
	struct node *node, *to_dir; /* one reference each */
	const struct s3_bucket *bucket;
	char *old_prefix, *new_prefix;
	enum move_phase phase;
	struct s3_list_entry *objects; /* taken from the pages */
	size_t count, capacity;
	size_t next, running;          /* of the phase in hand */
	size_t copied_before;          /* objects of earlier rounds are gone already */
	_Atomic uint64_t list_id;
	struct hidden_ask ask;         /* of the page in hand */
	int err;
};

struct move_object {
	struct move_dir *move;
	struct s3_list_entry *object;
};

static void move_list(struct move_dir *m, const char *token);
static void move_pump(struct move_dir *m);

/* ------------------------------------------------------------------------------------------------- the end */

static char *new_key(const struct move_dir *m, const char *old)
{
	struct strbuf key = STRBUF_INIT;

	strbuf_addstr(&key, m->new_prefix);
	strbuf_addstr(&key, old + strlen(m->old_prefix));
	return strbuf_detach(&key);
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(((const struct s3_list_entry *)a)->key, ((const struct s3_list_entry *)b)->key);
}

/* What SOURCE, below the old prefix, has become: one reference, or NULL when it was not copied in this round. */
static struct sched_source *new_source(struct move_dir *m, const struct sched_source *source)
{
	struct s3_list_entry want = {.key = source->key};
	const struct s3_list_entry *o;
	struct sched_source *moved;
	char *key;

	if (source->bucket != m->bucket || strncmp(source->key, m->old_prefix, strlen(m->old_prefix)) != 0 || m->count == m->copied_before)
		return NULL;
	o = bsearch(&want, m->objects + m->copied_before, m->count - m->copied_before, sizeof(want), compare_keys);
	if (!o || o->size_bytes != source->size_bytes)
		return NULL;
	key = new_key(m, o->key);
	moved = sched_source_new(m->bucket, key, o->etag, o->size_bytes);
	free(key);
	return moved;
}

static void recipe_follow(struct move_dir *m, struct content *ct)
{
	for (size_t i = 0; i < ct->recipe.count; i++) {
		struct sched_extent *e = &ct->recipe.extents[i];
		struct sched_source *moved = e->kind == SCHED_EXTENT_COPY ? new_source(m, e->source) : NULL;

		if (!moved)
			continue;
		sched_source_unref(e->source);
		e->source = moved;
	}
}

static void bases_follow(struct move_dir *m, struct node *n)
{
	struct sched_source *moved = n->base ? new_source(m, n->base) : NULL;

	if (moved) {
		sched_source_unref(n->base);
		n->base = moved;
	}
	for (struct node *child = n->dir ? n->dir->children : NULL; child; child = child->hh_child.next)
		bases_follow(m, child);
}

/* Every copy is there, with the same bytes, and the originals will go: what is to be read, now or by a commit that has not started, is read
 * from the copies. What the scheduler was told already comes before the deletes. */
static void sources_follow(struct move_dir *m)
{
	struct fs *fs = m->fs;
	struct change *c;
	struct handle *h;

	qsort(m->objects + m->copied_before, m->count - m->copied_before, sizeof(*m->objects), compare_keys);
	fs_lock(fs);
	bases_follow(m, m->node);
	DL_FOREACH(fs->changes, c)
		if (c->node && c->node->content)
			recipe_follow(m, c->node->content);
	DL_FOREACH(fs->handles, h)
		if (h->node->content)
			recipe_follow(m, h->node->content);
	fs_unlock(fs);
}

/* Everything below N was known under keys that are gone. */
static void change_keys(struct move_dir *m, struct node *n)
{
	struct node *child;

	for (child = n->dir ? n->dir->children : NULL; child; child = child->hh_child.next)
		change_keys(m, child);
	n->checked_ms = 0;
	if (n->dir) {
		n->dir->listing = n->dir->listing == LISTING_RUNNING ? LISTING_RUNNING : LISTING_NONE;
		n->dir->listing_again = n->dir->listing == LISTING_RUNNING;
	}
}

static void move_end(struct move_dir *m)
{
	struct fs *fs = m->fs;
	struct node *n = m->node, *from, *target;

	fs_lock(fs);
	if (n->moving) {
		n->moving = false;
		fs->moves--;
	}
	if (!m->err && n->parent) {
		from = n->parent;
		node_ref_locked(from);
		target = node_child_locked(m->to_dir, m->name);
		if (target) {
			target->unlinked = true;
			node_detach_locked(fs, target);
			node_maybe_free_locked(fs, target);
		}
		node_detach_locked(fs, n);
		if (node_rename_locked(n, m->name) < 0)
			m->err = ENOMEM;
		node_attach_locked(m->to_dir, n);
		n->listing_round = m->to_dir->dir->listing_round;
		change_keys(m, n);
		n->checked_ms = fs_now_ms(fs);
		n->checked_seq = ++fs->next_ask;
		node_taken_from_locked(fs, from);
		from->dir->listing_again = m->to_dir->dir->listing_again = true;
		node_unref_locked(fs, from);
	}
	if (m->call)
		call_finish_locked(m->call, m->err);
	node_unref_locked(fs, n);
	node_unref_locked(fs, m->to_dir);
	fs_unlock(fs);
	for (size_t i = 0; i < m->count; i++)
		free(m->objects[i].key);
	free(m->objects);
	free(m->name);
	free(m->old_prefix);
	free(m->new_prefix);
	free(m);
}

/* -------------------------------------------------------------------------------------------- one object */

static void object_done(void *arg, const struct sched_result *result)
{
	struct move_object *mo = arg;
	struct move_dir *m = mo->move;

	if (result->error && !(m->phase == MOVE_DELETE && m->err)) {
		log_error("rename of %s%s: %s", m->old_prefix, m->phase == MOVE_COPY ? "" : " (deleting)", result->message);
		m->err = s3_error_errno(result->error);
	}
	if (m->phase == MOVE_COPY && !result->error) {
		memcpy(mo->object->etag, result->etag, sizeof(mo->object->etag));
		mo->object->size_bytes = result->size_bytes;
	}
	m->running--;
	free(mo);
	move_pump(m);
}

/* HEAD answered: the copy carries what the object has. */
static void object_head(void *arg, struct s3_request *req)
{
	struct move_object *mo = arg;
	struct move_dir *m = mo->move;
	struct sched_result failed = {.error = req->result.error};
	struct sched_source *source;
	struct sched_extent *extent;
	char *key;

	if (req->result.error == S3_ERR_NOT_FOUND) {
		failed.error = S3_OK; /* deleted meanwhile: nothing to move */
		object_done(mo, &failed);
	} else if (req->result.error) {
		memcpy(failed.message, req->result.message, sizeof(failed.message));
		object_done(mo, &failed);
	} else {
		key = new_key(m, mo->object->key);
		source = sched_source_new(m->bucket, mo->object->key, req->result.etag, req->result.size_bytes);
		extent = calloc(1, sizeof(*extent));
		assert(key && source && extent);
		*extent = (struct sched_extent){.kind = SCHED_EXTENT_COPY, .length_bytes = source->size_bytes, .source = source};
		if (!source->size_bytes) {
			sched_source_unref(source);
			free(extent);
			extent = NULL;
		}
		sched_commit(m->fs->sched, &(struct sched_commit){
			.bucket = m->bucket, .key = key, .headers = &req->result.headers, .extents = extent,
			.extent_count = extent ? 1 : 0, .done = object_done, .arg = mo,
		});
		free(key);
	}
	s3_request_free(req);
}

static void move_one(struct move_dir *m, struct s3_list_entry *object)
{
	struct move_object *mo = calloc(1, sizeof(*mo));
	char *key;

	assert(mo);
	mo->move = m;
	mo->object = object;
	m->running++;
	if (m->phase == MOVE_COPY) {
		sched_request(m->fs->sched, s3_request_new(S3_OP_HEAD, m->bucket, object->key), SCHED_HIGH, object_head, mo);
		return;
	}
	key = m->err ? new_key(m, object->key) : strdup(object->key);
	sched_delete(m->fs->sched, m->bucket, key, object_done, mo);
	free(key);
}

static void move_pump(struct move_dir *m)
{
	struct s3_list_entry *object;

	if (m->interrupted && m->phase == MOVE_COPY && !m->copied_before && !m->err)
		m->err = EINTR;
	while (m->running < MOVES_AT_ONCE && m->next < m->count && !(m->phase == MOVE_COPY && m->err)) {
		object = &m->objects[m->next];
		/* Servers that keep keys as files delete a directory's marker only after what was below it. */
		if (m->phase == MOVE_DELETE)
			object = &m->objects[m->count - 1 - (m->next - m->copied_before)];
		if (m->phase == MOVE_DELETE && key_is_directory(object->key) && m->running)
			return;
		m->next++;
		move_one(m, object);
	}
	if (m->running)
		return;
	if (m->phase == MOVE_COPY) {
		/* All there: now the originals may go. Or not all: what was copied goes. */
		m->count = m->next;
		m->next = m->copied_before;
		if (!m->err)
			sources_follow(m);
		m->phase = MOVE_DELETE;
		move_pump(m);
	} else if (m->err) {
		move_end(m);
	} else {
		m->copied_before = m->count;
		move_list(m, NULL); /* what a program made meanwhile */
	}
}

/* -------------------------------------------------------------------------------------------------- list */

/* Deleted, or renamed to elsewhere: it just is not gone from S3 yet. */
static bool is_gone(struct move_dir *m, const char *key)
{
	bool gone;

	fs_lock(m->fs);
	gone = hidden_from_locked(m->fs, m->node->bucket, key, &m->ask);
	fs_unlock(m->fs);
	return gone;
}

static void move_page(void *arg, struct s3_request *req)
{
	struct move_dir *m = arg;
	struct s3_result *r = &req->result;

	if (m->interrupted && !m->copied_before) {
		m->err = EINTR;
	} else if (r->error) {
		log_error("%s", r->message);
		m->err = s3_error_errno(r->error);
	}
	for (size_t i = 0; !m->err && i < r->entry_count; i++) {
		if (strncmp(r->entries[i].key, m->old_prefix, strlen(m->old_prefix)) != 0)
			continue;
		if (is_gone(m, r->entries[i].key))
			continue;
		if (m->count == m->capacity) {
			size_t capacity = m->capacity ? 2 * m->capacity : 256;
			struct s3_list_entry *grown = realloc(m->objects, capacity * sizeof(*grown));

			assert(grown);
			m->objects = grown;
			m->capacity = capacity;
		}
		m->objects[m->count] = r->entries[i];
		m->objects[m->count++].upload_id = NULL;
		r->entries[i].key = NULL; /* taken */
	}
	fs_lock(m->fs);
	hidden_ask_end_locked(m->fs, &m->ask);
	fs_unlock(m->fs);
	if (!m->err && r->next_token) {
		move_list(m, r->next_token);
	} else if (m->err || m->count == m->copied_before) {
		move_end(m);
	} else {
		m->phase = MOVE_COPY;
		m->next = m->copied_before;
		move_pump(m);
	}
	s3_request_free(req);
}

static void move_list(struct move_dir *m, const char *token)
{
	struct s3_request *req = s3_request_new(S3_OP_LIST, m->bucket, NULL);

	assert(req);
	m->phase = MOVE_LIST;
	fs_lock(m->fs);
	hidden_ask_begin_locked(m->fs, &m->ask);
	fs_unlock(m->fs);
	req->prefix = strdup(m->old_prefix);
	req->token = token ? strdup(token) : NULL;
	m->list_id = sched_request(m->fs->sched, req, SCHED_HIGH, move_page, m);
}

static void move_start(void *arg);

/* What was on its way when the wait began has arrived. What came since is waited for as well; what comes from now on is put off. */
static void pending_done(void *arg)
{
	struct move_dir *m = arg;
	bool more;

	fs_lock(m->fs);
	more = !m->interrupted && change_is_pending_locked(m->fs, m->node);
	if (!more) {
		m->node->moving = true;
		m->fs->moves++;
	}
	fs_unlock(m->fs);
	if (more)
		move_start(m);
	else
		move_list(m, NULL);
}

/* Without fs->lock: first what is on its way below the directory. */
static void move_start(void *arg)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
	struct move_dir *m = arg;

	fs_lock(m->fs);
	node_path_locked(m->node, &path);
	fs_unlock(m->fs);
	fs_wait(m->fs, path.data, pending_done, m);
}

/* mv was interrupted: it gets its answer. What can still be taken back is taken back. */
static void move_interrupted(struct call *c)
{
	struct move_dir *m = c->private;

	m->interrupted = true;
	m->call = NULL;
	sched_cancel(c->fs->sched, m->list_id);
	call_finish_locked(c, EINTR);
}

void rename_directory_locked(struct call *c, struct node *n, struct node *to_dir)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	char piece[KEY_NAME_MAX + 1];
	bool object_only;
	struct fs *fs = c->fs;
	struct move_dir *m = calloc(1, sizeof(*m));
	int err = m ? -node_key_locked(fs, n, &key) : ENOMEM;

	if (!err) {
		m->old_prefix = strbuf_detach(&key);
		err = -node_key_locked(fs, to_dir, &key);
	}
	if (!err && key_name_to_piece(c->name2, piece, &object_only) < 0)
		err = EINVAL;
	if (!err && !(m->name = strdup(c->name2)))
		err = ENOMEM;
	if (err) {
		if (m)
			free(m->old_prefix);
		free(m);
		call_finish_locked(c, err);
		return;
	}
	strbuf_addf(&key, "%s/", piece);
	m->new_prefix = strbuf_detach(&key);
	assert(m->old_prefix && m->new_prefix);
	m->fs = fs;
	m->call = c;
	m->node = n;
	m->to_dir = to_dir;
	m->bucket = fs->buckets[n->bucket];
	node_ref_locked(n);
	node_ref_locked(to_dir);
	c->private = m;
	c->interrupt = move_interrupted;
	sched_after(fs->sched, 0, move_start, m);
}
