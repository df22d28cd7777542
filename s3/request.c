/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Life and death of requests, results and header lists. */
#include "s3/request.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const op_names[S3_OP__COUNT] = {
	[S3_OP_HEAD_BUCKET] = "HeadBucket",
	[S3_OP_LIST] = "ListObjectsV2",
	[S3_OP_HEAD] = "HeadObject",
	[S3_OP_GET] = "GetObject",
	[S3_OP_PUT] = "PutObject",
	[S3_OP_COPY] = "CopyObject",
	[S3_OP_DELETE] = "DeleteObject",
	[S3_OP_DELETE_MANY] = "DeleteObjects",
	[S3_OP_UPLOAD_CREATE] = "CreateMultipartUpload",
	[S3_OP_UPLOAD_PART] = "UploadPart",
	[S3_OP_UPLOAD_PART_COPY] = "UploadPartCopy",
	[S3_OP_UPLOAD_COMPLETE] = "CompleteMultipartUpload",
	[S3_OP_UPLOAD_ABORT] = "AbortMultipartUpload",
	[S3_OP_LIST_PARTS] = "ListParts",
	[S3_OP_LIST_UPLOADS] = "ListMultipartUploads",
};

const char *s3_op_name(enum s3_op op)
{
	assert((unsigned)op < S3_OP__COUNT);
	return op_names[op];
}

/* --------------------------------------------------------------------------------------------- headers */

static struct s3_header *find_header(const struct s3_headers *h, const char *name)
{
	for (size_t i = 0; i < h->count; i++)
		if (!strcmp(h->items[i].name, name))
			return &h->items[i];
	return NULL;
}

static void remove_header(struct s3_headers *h, struct s3_header *item)
{
	size_t behind = h->count - 1 - (size_t)(item - h->items);

	free(item->name);
	free(item->value);
	memmove(item, item + 1, behind * sizeof(*item));
	h->count--;
}

static int append_header(struct s3_headers *h, const char *name, const char *value)
{
	char *new_name, *new_value;

	if (h->count == h->capacity) {
		size_t capacity = h->capacity ? h->capacity * 2 : 8;
		struct s3_header *items = realloc(h->items, capacity * sizeof(*items));

		if (!items)
			return -ENOMEM;
		h->items = items;
		h->capacity = capacity;
	}
	new_name = strdup(name);
	new_value = strdup(value);
	if (!new_name || !new_value) {
		free(new_name);
		free(new_value);
		return -ENOMEM;
	}
	h->items[h->count++] = (struct s3_header){.name = new_name, .value = new_value};
	return 0;
}

int s3_headers_set(struct s3_headers *h, const char *name, const char *value)
{
	struct s3_header *item = find_header(h, name);
	char *copy;

	assert(*name);
	if (!value) {
		if (item)
			remove_header(h, item);
		return 0;
	}
	if (!item)
		return append_header(h, name, value);

	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(item->value);
	item->value = copy;
	return 0;
}

const char *s3_headers_get(const struct s3_headers *h, const char *name)
{
	const struct s3_header *item = find_header(h, name);

	return item ? item->value : NULL;
}

int s3_headers_copy(struct s3_headers *to, const struct s3_headers *from)
{
	assert(to != from);
	s3_headers_clear(to);
	for (size_t i = 0; i < from->count; i++) {
		if (append_header(to, from->items[i].name, from->items[i].value) < 0) {
			s3_headers_clear(to);
			return -ENOMEM;
		}
	}
	return 0;
}

void s3_headers_clear(struct s3_headers *h)
{
	for (size_t i = 0; i < h->count; i++) {
		free(h->items[i].name);
		free(h->items[i].value);
	}
	free(h->items);
	*h = (struct s3_headers){0};
}

/* --------------------------------------------------------------------------------------------- results */

void s3_list_entries_free(struct s3_list_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(entries[i].key);
		free(entries[i].upload_id);
	}
	free(entries);
}

void s3_result_clear_lists(struct s3_result *result)
{
	s3_list_entries_free(result->entries, result->entry_count);
	result->entries = NULL;
	result->entry_count = 0;
	free(result->parts);
	result->parts = NULL;
	result->part_count = 0;
}

void s3_result_clear(struct s3_result *result)
{
	s3_headers_clear(&result->headers);
	s3_result_clear_lists(result);
	free(result->upload_id);
	free(result->next_token);
	*result = (struct s3_result){.retry_after_ms = -1};
}

/* -------------------------------------------------------------------------------------------- requests */

struct s3_request *s3_request_new(enum s3_op op, const struct s3_bucket *bucket, const char *key)
{
	struct s3_request *r;

	assert((unsigned)op < S3_OP__COUNT);
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->op = op;
	r->bucket = bucket;
	r->result.retry_after_ms = -1;
	if (key) {
		r->key = strdup(key);
		if (!r->key) {
			free(r);
			return NULL;
		}
	}
	return r;
}

void s3_request_free(struct s3_request *r)
{
	if (!r)
		return;
	free(r->key);
	free(r->prefix);
	free(r->delimiter);
	free(r->token);
	free(r->if_match);
	free(r->if_none_match);
	free(r->segments);
	s3_headers_clear(&r->headers);
	free(r->src_key);
	free(r->src_etag);
	free(r->upload_id);
	free(r->parts);
	for (size_t i = 0; i < r->key_count; i++)
		free(r->keys[i]);
	free(r->keys);
	s3_result_clear(&r->result);
	free(r);
}

void s3_request_rearm(struct s3_request *r)
{
	s3_result_clear(&r->result);
	r->delivered_bytes = 0;
	r->backend_private = NULL;
	r->next = NULL;
}

static bool clone_string(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

struct s3_request *s3_request_clone(const struct s3_request *r)
{
	struct s3_request *c = s3_request_new(r->op, r->bucket, r->key);
	size_t size = r->segment_count * sizeof(*r->segments);

	assert(r->op == S3_OP_HEAD || r->op == S3_OP_GET || r->op == S3_OP_LIST || r->op == S3_OP_PUT ||
	       r->op == S3_OP_UPLOAD_PART);
	if (!c)
		return NULL;
	if (size > 0) {
		c->segments = malloc(size);
		if (!c->segments)
			goto fail;
		memcpy(c->segments, r->segments, size);
		c->segment_count = r->segment_count;
	}
	if (!clone_string(&c->prefix, r->prefix) || !clone_string(&c->delimiter, r->delimiter) ||
	    !clone_string(&c->token, r->token) || !clone_string(&c->if_match, r->if_match) ||
	    !clone_string(&c->if_none_match, r->if_none_match) || !clone_string(&c->upload_id, r->upload_id) ||
	    s3_headers_copy(&c->headers, &r->headers) < 0)
		goto fail;
	c->max_keys = r->max_keys;
	c->offset_bytes = r->offset_bytes;
	c->length_bytes = r->length_bytes;
	c->on_data = r->on_data;
	c->on_data_arg = r->on_data_arg;
	c->ring_bytes = r->ring_bytes;
	c->part_number = r->part_number;
	c->stall_timeout_ms = r->stall_timeout_ms;
	c->first_byte_timeout_ms = r->first_byte_timeout_ms;
	c->race = r->race;
	return c;

fail:
	s3_request_free(c);
	return NULL;
}

bool s3_request_wins(struct s3_request *r)
{
	struct s3_request *winner = NULL;

	return !r->race || atomic_compare_exchange_strong(r->race, &winner, r) || winner == r;
}

uint64_t s3_request_body_bytes(const struct s3_request *r)
{
	uint64_t total = 0;

	for (size_t i = 0; i < r->segment_count; i++)
		if (__builtin_add_overflow(total, r->segments[i].length_bytes, &total))
			return UINT64_MAX;
	return total;
}
