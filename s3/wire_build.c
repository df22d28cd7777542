/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a struct s3_request to a signed HTTP request: which method, query, header fields and body each operation has. */
#include "s3/wire_build.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/uri.h"
#include "s3/xml.h"

#define MAX_KEYS_PER_DELETE 1000
#define MAX_PARTS           10000

static void build_clear(struct build *b)
{
	free(b->marker);
	strbuf_free(&b->copy_source);
	strbuf_free(&b->body);
}

static void add_optional_header(struct build *b, const char *name, const char *value)
{
	if (value && *value)
		build_add_header(b, name, value);
}

static void add_query(struct build *b, const char *name, const char *value)
{
	assert(b->query_count < BUILD_MAX_QUERY);
	b->query[b->query_count++] = (struct sigv4_query){.name = name, .value = value};
}

static void add_optional_query(struct build *b, const char *name, const char *value)
{
	if (value && *value)
		add_query(b, name, value);
}

/* ------------------------------------------------------------------------------------------------- pieces */

/* Fields that wire_build decides itself; an object cannot carry them. */
static bool is_reserved_header(const char *name)
{
	static const char *const reserved[] = {
		"authorization",
		"connection",
		"content-length",
		"content-md5",
		"expect",
		"host",
		"if-match",
		"if-none-match",
		"range",
		"transfer-encoding",
		"x-amz-date",
		"x-amz-content-sha256",
		"x-amz-security-token",
		"x-amz-copy-source",
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (!strcmp(reserved[i], name))
			return true;
	return false;
}

static void add_object_headers(struct build *b, const struct s3_headers *h)
{
	for (size_t i = 0; i < h->count; i++) {
		const char *name = h->items[i].name;

		if (is_reserved_header(name)) {
			build_fail(b, -EINVAL);
			return;
		}
		/* HeadObject tells the number of tags; nobody can set it. */
		if (!strcmp(name, "x-amz-tagging-count"))
			continue;
		if (!strcmp(name, "content-type"))
			b->has_content_type = true;
		build_add_header(b, name, h->items[i].value);
	}
}

/* LENGTH 0: to the end. */
static void add_range(struct build *b, const char *name, uint64_t offset, uint64_t length)
{
	uint64_t end;

	if (length == 0) {
		if (offset == 0)
			return;
		snprintf(b->range, sizeof(b->range), "bytes=%" PRIu64 "-", offset);
	} else {
		if (__builtin_add_overflow(offset, length - 1, &end)) {
			build_fail(b, -EINVAL);
			return;
		}
		snprintf(b->range, sizeof(b->range), "bytes=%" PRIu64 "-%" PRIu64, offset, end);
	}
	build_add_header(b, name, b->range);
}

static void add_preconditions(struct build *b, const struct s3_request *r)
{
	add_optional_header(b, "if-match", r->if_match);
	add_optional_header(b, "if-none-match", r->if_none_match);
}

static void add_copy_source(struct build *b, const struct s3_request *r)
{
	if (!r->src_bucket || !r->src_key || !*r->src_key) {
		build_fail(b, -EINVAL);
		return;
	}
	strbuf_addch(&b->copy_source, '/');
	uri_encode(&b->copy_source, r->src_bucket->bucket, false);
	strbuf_addch(&b->copy_source, '/');
	uri_encode(&b->copy_source, r->src_key, true);
	if (b->copy_source.failed) {
		build_fail(b, -ENOMEM);
		return;
	}
	build_add_header(b, "x-amz-copy-source", b->copy_source.data);
	add_optional_header(b, "x-amz-copy-source-if-match", r->src_etag);
}

static void add_upload_id(struct build *b, const struct s3_request *r)
{
	if (!r->upload_id || !*r->upload_id)
		build_fail(b, -EINVAL);
	else
		add_query(b, "uploadId", r->upload_id);
}

static void add_part_number(struct build *b, const struct s3_request *r)
{
	if (r->part_number < 1 || r->part_number > MAX_PARTS)
		build_fail(b, -EINVAL);
	snprintf(b->number, sizeof(b->number), "%u", (unsigned)r->part_number);
	add_query(b, "partNumber", b->number);
}

static void add_max(struct build *b, const struct s3_request *r, const char *name)
{
	if (r->max_keys == 0)
		return;
	snprintf(b->max_keys, sizeof(b->max_keys), "%u", (unsigned)r->max_keys);
	add_query(b, name, b->max_keys);
}

static void use_segments(struct build *b, const struct s3_request *r)
{
	for (size_t i = 0; i < r->segment_count; i++) {
		const struct s3_segment *s = &r->segments[i];

		if ((s->kind == S3_SEGMENT_MEMORY && !s->memory && s->length_bytes > 0) ||
		    (s->kind == S3_SEGMENT_OBJECT && (!s->src_bucket || !s->src_key)))
			build_fail(b, -EINVAL);
	}
	if (s3_request_body_bytes(r) == UINT64_MAX)
		build_fail(b, -EINVAL);
	b->has_segments = s3_request_body_bytes(r) > 0;
}

static void use_xml_body(struct build *b)
{
	if (b->body.failed)
		build_fail(b, -ENOMEM);
	b->has_body = true;
	b->has_content_type = true;
	build_add_header(b, "content-type", "application/xml");
}

static void add_content_md5(struct build *b)
{
	unsigned char md5[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (b->error)
		return;
	if (EVP_Digest(b->body.data, b->body.len, md5, &len, EVP_md5(), NULL) != 1 || len != 16) {
		build_fail(b, -EIO);
		return;
	}
	EVP_EncodeBlock((unsigned char *)b->md5, md5, (int)len);
	build_add_header(b, "content-md5", b->md5);
}

/* --------------------------------------------------------------------------------------------- operations */

static void build_list(struct build *b, const struct s3_request *r)
{
	add_query(b, "list-type", "2");
	add_query(b, "encoding-type", "url");
	add_optional_query(b, "prefix", r->prefix);
	add_optional_query(b, "delimiter", r->delimiter);
	add_optional_query(b, "continuation-token", r->token);
	add_max(b, r, "max-keys");
}

static void build_list_uploads(struct build *b, const struct s3_request *r)
{
	add_query(b, "uploads", NULL);
	add_query(b, "encoding-type", "url");
	add_optional_query(b, "prefix", r->prefix);
	add_optional_query(b, "delimiter", r->delimiter);
	add_max(b, r, "max-uploads");
	if (r->token && *r->token) {
		/* The key may hold line breaks, the upload id does not: the last one parts them. */
		char *cut = strrchr(r->token, '\n');

		if (!cut) {
			build_fail(b, -EINVAL);
			return;
		}
		b->marker = strdup(r->token);
		if (!b->marker) {
			build_fail(b, -ENOMEM);
			return;
		}
		cut = b->marker + (cut - r->token);
		*cut = '\0';
		add_optional_query(b, "key-marker", b->marker);
		add_optional_query(b, "upload-id-marker", cut + 1);
	}
}

static void build_copy(struct build *b, const struct s3_request *r)
{
	add_copy_source(b, r);
	add_preconditions(b, r);
	build_add_header(b, "x-amz-metadata-directive", r->replace_headers ? "REPLACE" : "COPY");
	if (r->replace_headers)
		add_object_headers(b, &r->headers);
}

static void build_delete_many(struct build *b, const struct s3_request *r)
{
	if (r->key_count == 0 || r->key_count > MAX_KEYS_PER_DELETE) {
		build_fail(b, -EINVAL);
		return;
	}
	add_query(b, "delete", NULL);
	if (xml_write_delete(&b->body, r->keys, r->key_count) < 0)
		build_fail(b, -EINVAL);
	use_xml_body(b);
	add_content_md5(b);
}

static void build_upload_part_copy(struct build *b, const struct s3_request *r)
{
	add_part_number(b, r);
	add_upload_id(b, r);
	add_copy_source(b, r);
	/* A copied part is bytes FIRST-LAST or the whole source; "to the end" cannot be said. */
	if (r->length_bytes == 0 && r->src_offset_bytes > 0)
		build_fail(b, -EINVAL);
	add_range(b, "x-amz-copy-source-range", r->src_offset_bytes, r->length_bytes);
}

static void build_upload_complete(struct build *b, const struct s3_request *r)
{
	if (r->part_count == 0 || r->part_count > MAX_PARTS) {
		build_fail(b, -EINVAL);
		return;
	}
	for (size_t i = 0; i < r->part_count; i++)
		if (r->parts[i].number < 1 || r->parts[i].number > MAX_PARTS || !*r->parts[i].etag ||
		    (i > 0 && r->parts[i].number <= r->parts[i - 1].number))
			build_fail(b, -EINVAL);
	add_upload_id(b, r);
	add_preconditions(b, r);
	xml_write_complete(&b->body, r->parts, r->part_count);
	use_xml_body(b);
}

static void build_list_parts(struct build *b, const struct s3_request *r)
{
	add_upload_id(b, r);
	add_optional_query(b, "part-number-marker", r->token);
	add_max(b, r, "max-parts");
}

static const struct {
	const char *method;
	bool object_level;
} shapes[S3_OP__COUNT] = {
	[S3_OP_HEAD_BUCKET] = {"HEAD", false},
	[S3_OP_LIST] = {"GET", false},
	[S3_OP_HEAD] = {"HEAD", true},
	[S3_OP_GET] = {"GET", true},
	[S3_OP_PUT] = {"PUT", true},
	[S3_OP_COPY] = {"PUT", true},
	[S3_OP_DELETE] = {"DELETE", true},
	[S3_OP_DELETE_MANY] = {"POST", false},
	[S3_OP_UPLOAD_CREATE] = {"POST", true},
	[S3_OP_UPLOAD_PART] = {"PUT", true},
	[S3_OP_UPLOAD_PART_COPY] = {"PUT", true},
	[S3_OP_UPLOAD_COMPLETE] = {"POST", true},
	[S3_OP_UPLOAD_ABORT] = {"DELETE", true},
	[S3_OP_LIST_PARTS] = {"GET", true},
	[S3_OP_LIST_UPLOADS] = {"GET", false},
};

static void build_operation(struct build *b, const struct s3_request *r)
{
	switch (r->op) {
	case S3_OP_LIST:
		build_list(b, r);
		break;
	case S3_OP_GET:
		add_range(b, "range", r->offset_bytes, r->length_bytes);
		add_preconditions(b, r);
		break;
	case S3_OP_HEAD:
	case S3_OP_DELETE:
		add_preconditions(b, r);
		break;
	case S3_OP_PUT:
		add_preconditions(b, r);
		add_object_headers(b, &r->headers);
		use_segments(b, r);
		break;
	case S3_OP_COPY:
		build_copy(b, r);
		break;
	case S3_OP_DELETE_MANY:
		build_delete_many(b, r);
		break;
	case S3_OP_UPLOAD_CREATE:
		add_query(b, "uploads", NULL);
		add_object_headers(b, &r->headers);
		break;
	case S3_OP_UPLOAD_PART:
		add_part_number(b, r);
		add_upload_id(b, r);
		use_segments(b, r);
		break;
	case S3_OP_UPLOAD_PART_COPY:
		build_upload_part_copy(b, r);
		break;
	case S3_OP_UPLOAD_COMPLETE:
		build_upload_complete(b, r);
		break;
	case S3_OP_UPLOAD_ABORT:
		add_upload_id(b, r);
		break;
	case S3_OP_LIST_PARTS:
		build_list_parts(b, r);
		break;
	case S3_OP_LIST_UPLOADS:
		build_list_uploads(b, r);
		break;
	case S3_OP_HEAD_BUCKET:
	case S3_OP__COUNT:
		break;
	}
}

int wire_build(const struct s3_request *r, time_t now, struct wire_request *out)
{
	struct build b;
	int rc;

	assert((unsigned)r->op < S3_OP__COUNT);
	*out = (struct wire_request){0};
	if (!r->bucket || (shapes[r->op].object_level && (!r->key || !*r->key)))
		return -EINVAL;

	memset(&b, 0, offsetof(struct build, query));
	b.bucket = r->bucket;
	b.method = shapes[r->op].method;
	b.key = shapes[r->op].object_level ? r->key : NULL;

	build_operation(&b, r);
	rc = build_compose(&b, now, out);
	if (rc < 0)
		wire_request_clear(out);
	build_clear(&b);
	return rc;
}

struct s3_request wire_segment_request(const struct s3_segment *seg)
{
	assert(seg->kind == S3_SEGMENT_OBJECT);
	return (struct s3_request){
		.op = S3_OP_GET,
		.bucket = seg->src_bucket,
		.key = (char *)(uintptr_t)seg->src_key,
		.if_match = (char *)(uintptr_t)seg->src_etag,
		.offset_bytes = seg->src_offset_bytes,
		.length_bytes = seg->length_bytes,
	};
}

int wire_build_segment_get(const struct s3_segment *seg, time_t now, struct wire_request *out)
{
	const struct s3_request get = wire_segment_request(seg);

	if (seg->length_bytes == 0) {
		*out = (struct wire_request){0};
		return -EINVAL;
	}
	return wire_build(&get, now, out);
}

void wire_request_clear(struct wire_request *w)
{
	free(w->url);
	free(w->headers);
	free(w->body);
	*w = (struct wire_request){0};
}
