/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one open(2) holds. */
#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "fs/file.h"

struct handle *handle_new_locked(struct fs *fs, struct node *n)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->fs = fs;
	h->refs = 1;
	h->node = n;
	if (n) {
		node_ref_locked(n);
		n->handles++;
	}
	DL_APPEND(fs->handles, h);
	fs->stats.open_files++;
	return h;
}

void handle_ref_locked(struct handle *h)
{
	assert(h->refs);
	h->refs++;
}

void handle_put(struct fs *fs, struct handle *h)
{
	bool last;

	fs_lock(fs);
	assert(h->refs);
	last = !--h->refs;
	if (last) {
		DL_DELETE(fs->handles, h);
		fs->stats.open_files--;
		for (size_t i = 0; i < h->entry_count; i++)
			node_unref_locked(fs, h->entries[i]);
		if (h->node)
			node_unref_locked(fs, h->node);
	}
	fs_unlock(fs);
	if (!last)
		return;
	for (size_t i = 0; i < h->stream_count; i++) {
		if (h->streams[i].stream)
			stream_close(h->streams[i].stream);
		sched_source_unref(h->streams[i].source);
	}
	free(h->streams);
	free(h->entries);
	free(h);
}

/* A place for another stream: one that nothing reads from, once there are enough; else a new one. */
static struct handle_stream *stream_slot(struct handle *h)
{
	struct handle_stream *grown;

	for (size_t i = 0; h->stream_count >= HANDLE_STREAMS_IDLE && i < h->stream_count; i++)
		if (!h->streams[i].reads)
			return &h->streams[i];
	grown = realloc(h->streams, (h->stream_count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	h->streams = grown;
	grown += h->stream_count++;
	*grown = (struct handle_stream){0};
	return grown;
}

struct stream *handle_stream_locked(struct handle *h, struct sched_source *source, struct stream **old)
{
	const struct stream_config config = {.readahead_max_bytes = h->fs->config->readahead_bytes};
	struct handle_stream *slot;
	struct stream *st;

	*old = NULL;
	for (size_t i = 0; i < h->stream_count; i++) {
		if (h->streams[i].source == source) {
			h->streams[i].reads++;
			return h->streams[i].stream;
		}
	}
	slot = stream_slot(h);
	st = slot ? stream_new(h->fs->sched, source, &config) : NULL;
	if (!st)
		return NULL;
	*old = slot->stream;
	sched_source_unref(slot->source);
	*slot = (struct handle_stream){.source = sched_source_ref(source), .stream = st, .reads = 1};
	return st;
}

void handle_stream_done_locked(struct handle *h, const struct stream *st)
{
	for (size_t i = 0; i < h->stream_count; i++)
		if (h->streams[i].stream == st)
			h->streams[i].reads--;
}
