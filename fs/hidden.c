/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys that are gone in the mount and not yet in S3. */
#include "fs/hidden.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "fs/internal.h"
#include "fs/keys.h"

struct hidden_key {
	char *id;            /* the bucket's number, a colon, the key */
	unsigned bucket;
	unsigned count;      /* deletes that are to come */
	uint64_t added_seq;
	uint64_t gone_seq;   /* count is 0: older questions may still be answered with it */
	struct hidden_key *prev, *next; /* hidden.gone */
	UT_hash_handle hh;
};

#define ID_MAX (KEY_MAX_BYTES + 16)

static struct hidden_key *find(const struct fs *fs, unsigned bucket, const char *key, size_t key_len, const char *end)
{
	struct hidden_key *h = NULL;
	char id[ID_MAX];
	int len;

	if (!fs->hidden.keys)
		return NULL;
	len = snprintf(id, sizeof(id), "%u:%.*s%s", bucket, (int)key_len, key, end);
	if (len > 0 && (size_t)len < sizeof(id))
		HASH_FIND(hh, fs->hidden.keys, id, (unsigned)len, h);
	return h;
}

static const char *key_of(const struct hidden_key *h)
{
	return strchr(h->id, ':') + 1;
}

static void forget(struct fs *fs, struct hidden_key *h)
{
	HASH_DEL(fs->hidden.keys, h);
	free(h->id);
	free(h);
}

/* Those that no question under way is older than. */
static void forget_gone(struct fs *fs)
{
	struct hidden_key *h;

	while ((h = fs->hidden.gone) && (!fs->hidden.asks || h->gone_seq < fs->hidden.asks->seq)) {
		DL_DELETE(fs->hidden.gone, h);
		forget(fs, h);
	}
}

void hidden_add_locked(struct fs *fs, unsigned bucket, const char *key)
{
	struct hidden_key *h = find(fs, bucket, key, strlen(key), "");
	char id[ID_MAX];
	int len;

	if (!h) {
		len = snprintf(id, sizeof(id), "%u:%s", bucket, key);
		assert(len > 0 && (size_t)len < sizeof(id));
		h = calloc(1, sizeof(*h));
		assert(h);
		h->id = strdup(id);
		assert(h->id);
		h->bucket = bucket;
		HASH_ADD_KEYPTR(hh, fs->hidden.keys, h->id, (unsigned)len, h);
	} else if (!h->count) {
		DL_DELETE(fs->hidden.gone, h);
	}
	if (!h->count++)
		h->added_seq = ++fs->next_ask;
}

static bool is_below(const char *key, const struct hidden_wait *w)
{
	size_t len = strlen(w->prefix);

	return !strncmp(key, w->prefix, len) && key[len];
}

void hidden_end_locked(struct fs *fs, unsigned bucket, const char *key)
{
	struct hidden_key *h = find(fs, bucket, key, strlen(key), "");
	struct hidden_wait *w, *tmp, *ready = NULL;

	assert(h && h->count);
	if (--h->count)
		return;
	DL_FOREACH_SAFE(fs->hidden.waits, w, tmp) {
		if (w->bucket != bucket || h->added_seq > w->seq || !is_below(key, w) || --w->count)
			continue;
		DL_DELETE(fs->hidden.waits, w);
		DL_APPEND(ready, w);
	}
	h->gone_seq = ++fs->next_ask;
	DL_APPEND(fs->hidden.gone, h);
	forget_gone(fs);
	DL_FOREACH_SAFE(ready, w, tmp) {
		DL_DELETE(ready, w);
		w->fn(w);
	}
}

void hidden_ask_begin_locked(struct fs *fs, struct hidden_ask *ask)
{
	ask->seq = ++fs->next_ask;
	DL_APPEND(fs->hidden.asks, ask);
}

void hidden_ask_end_locked(struct fs *fs, struct hidden_ask *ask)
{
	DL_DELETE(fs->hidden.asks, ask);
	forget_gone(fs);
}

/* Does H count, for an answer to ASK? NULL: as of now. */
static bool hides(const struct hidden_key *h, const struct hidden_ask *ask)
{
	return h && (h->count || (ask && ask->seq < h->gone_seq));
}

/* KEY without its final slash. */
static size_t stem(const char *key)
{
	return strlen(key) - key_is_directory(key);
}

static bool either_form(const struct fs *fs, unsigned bucket, const char *key, size_t len, const struct hidden_ask *ask)
{
	return hides(find(fs, bucket, key, len, ""), ask) || hides(find(fs, bucket, key, len, "/"), ask);
}

bool hidden_now_locked(const struct fs *fs, unsigned bucket, const char *key)
{
	return either_form(fs, bucket, key, stem(key), NULL);
}

bool hidden_from_locked(const struct fs *fs, unsigned bucket, const char *key, const struct hidden_ask *ask)
{
	return either_form(fs, bucket, key, stem(key), ask);
}

bool hidden_above_locked(const struct fs *fs, unsigned bucket, const char *key)
{
	size_t len = strlen(key);

	if (!fs->hidden.keys || !len)
		return false;
	if (hides(find(fs, bucket, key, stem(key), key_is_directory(key) ? "" : "/"), NULL))
		return true;
	for (size_t i = 1; i + 1 < len; i++)
		if (key[i] == '/' && either_form(fs, bucket, key, i, NULL))
			return true;
	return false;
}

bool hidden_wait_below_locked(struct fs *fs, struct hidden_wait *w)
{
	const struct hidden_key *h, *tmp;

	w->seq = fs->next_ask;
	w->count = 0;
	HASH_ITER(hh, fs->hidden.keys, h, tmp)
		if (h->count && h->bucket == w->bucket && is_below(key_of(h), w))
			w->count++;
	if (!w->count)
		return false;
	DL_APPEND(fs->hidden.waits, w);
	return true;
}

void hidden_unwait_locked(struct fs *fs, struct hidden_wait *w)
{
	DL_DELETE(fs->hidden.waits, w);
}

void hidden_free(struct fs *fs)
{
	struct hidden_key *h, *tmp;

	assert(!fs->hidden.asks && !fs->hidden.waits);
	HASH_ITER(hh, fs->hidden.keys, h, tmp)
		forget(fs, h);
}
