/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A change never overtakes a copy that still reads the old bytes. The scheduler keeps the order of what it was told; what is here sees
 * to it that it is told in the right order: commits that settle, or wait behind another one of the same file, before the change. */
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/file.h"

static bool recipe_reads(const struct recipe *r, const struct s3_bucket *bucket, const char *key)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct sched_extent *e = &r->extents[i];

		if (e->kind == SCHED_EXTENT_COPY && e->source->bucket == bucket && !strcmp(e->source->key, key))
			return true;
	}
	return false;
}

/* Will the next commit of CT read BUCKET/KEY, or delete it? */
static bool uses_key(struct fs *fs, const struct content *ct, const struct s3_bucket *bucket, const char *key)
{
	if (ct->origin_key && fs->buckets[ct->origin_bucket] == bucket && !strcmp(ct->origin_key, key))
		return true;
	if (ct->upload_key && fs->buckets[ct->node->bucket] == bucket && !strcmp(ct->upload_key, key))
		return true;
	return recipe_reads(&ct->recipe, bucket, key);
}

static bool starts_for(struct fs *fs, const struct content *ct, const struct s3_bucket *bucket, const char *key,
		       const struct node *except)
{
	return ct->node != except && !ct->node->unlinked && !ct->committing && !ct->parts_running && !ct->put_off &&
	       content_is_dirty_locked(ct) && uses_key(fs, ct, bucket, key);
}

static void start_readers(struct fs *fs, const struct s3_bucket *bucket, const char *key, const struct node *except)
{
	struct content *ct;
	struct handle *h;

again:
	DL_FOREACH2(fs->settling, ct, settle_next) {
		if (starts_for(fs, ct, bucket, key, except)) {
			content_commit_locked(fs, ct->node); /* which changes the list */
			goto again;
		}
	}
	DL_FOREACH(fs->handles, h) {
		if (h->writer && h->node->content && starts_for(fs, h->node->content, bucket, key, except)) {
			content_commit_locked(fs, h->node);
			goto again;
		}
	}
}

/* Will CT, which cannot start now, commit something that uses BUCKET/KEY as it is? */
static bool will_use_key(struct fs *fs, const struct content *ct, const struct s3_bucket *bucket, const char *key)
{
	if (ct->node->unlinked || !content_is_dirty_locked(ct))
		return false;
	if (ct->committing ? ct->generation == ct->committing_generation : !ct->parts_running && !ct->put_off)
		return false;
	return uses_key(fs, ct, bucket, key);
}

/* Calls FN for each content that will use BUCKET/KEY until it returns true. */
static bool each_user(struct fs *fs, const struct s3_bucket *bucket, const char *key, const struct node *except,
		      bool (*fn)(struct fs *fs, struct content *ct, void *arg), void *arg)
{
	const struct change *c;
	const struct handle *h;

	DL_FOREACH(fs->changes, c)
		if (c->node && c->node != except && c->node->content && will_use_key(fs, c->node->content, bucket, key) &&
		    fn(fs, c->node->content, arg))
			return true;
	DL_FOREACH(fs->handles, h)
		if (h->writer && h->node != except && h->node->content && will_use_key(fs, h->node->content, bucket, key) &&
		    fn(fs, h->node->content, arg))
			return true;
	return false;
}

static bool any(struct fs *fs, struct content *ct, void *arg)
{
	return true;
}

bool content_key_is_needed_locked(struct fs *fs, const struct s3_bucket *bucket, const char *key, const struct node *except)
{
	start_readers(fs, bucket, key, except);
	return each_user(fs, bucket, key, except, any, NULL) || object_delete_is_held_locked(fs, bucket, key);
}

/* ------------------------------------------------------------------------------------------------- circles */

struct circle {
	const struct s3_bucket *bucket;
	const char *key;
	uint64_t round; /* contents that were looked at carry it */
};

static bool leads_to(struct fs *fs, const struct s3_bucket *bucket, const char *key, const struct node *except, struct circle *circle);

static bool content_leads_to(struct fs *fs, struct content *ct, void *arg)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct circle *circle = arg;
	const struct s3_bucket *bucket = fs->buckets[ct->node->bucket];

	if (!ct->put_off || ct->circle_round == circle->round || node_key_locked(fs, ct->node, &key) < 0)
		return false;
	ct->circle_round = circle->round;
	if (bucket == circle->bucket && !strcmp(key.data, circle->key))
		return true;
	return leads_to(fs, bucket, key.data, ct->node, circle);
}

static bool leads_to(struct fs *fs, const struct s3_bucket *bucket, const char *key, const struct node *except, struct circle *circle)
{
	return each_user(fs, bucket, key, except, content_leads_to, circle);
}

bool content_waits_for_itself_locked(struct fs *fs, const struct s3_bucket *bucket, const char *key, const struct node *except)
{
	struct circle circle = {.bucket = bucket, .key = key, .round = ++fs->next_ask};

	return leads_to(fs, bucket, key, except, &circle);
}
