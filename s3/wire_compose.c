/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The second half of wire_build: signs what wire_build.c has put together, writes a URL and header lines. */
#include "s3/wire_build.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "s3/uri.h"

void build_fail(struct build *b, int error)
{
	if (b->error == 0)
		b->error = error;
}

static bool is_token(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~");

	return len > 0 && name[len] == '\0';
}

/* Every value that reaches the wire passes here: a line break in one would begin a header of someone's choice. */
void build_add_header(struct build *b, const char *name, const char *value)
{
	if (b->header_count == BUILD_MAX_HEADERS || !is_token(name) || value[strcspn(value, "\r\n")]) {
		build_fail(b, -EINVAL);
		return;
	}
	b->headers[b->header_count++] = (struct sigv4_header){.name = name, .value = value};
}

static int build_path(const struct build *b, struct strbuf *path)
{
	strbuf_addstr(path, b->bucket->base_path);
	if (b->key) {
		strbuf_addch(path, '/');
		uri_encode(path, b->key, true);
	} else if (path->len == 0) {
		strbuf_addch(path, '/');
	}
	return path->failed ? -ENOMEM : 0;
}

static char *build_url(const struct build *b, const struct strbuf *path)
{
	CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;

	strbuf_addstr(&url, b->bucket->scheme);
	strbuf_addstr(&url, "://");
	strbuf_addstr(&url, b->bucket->host);
	strbuf_add(&url, path->data, path->len);
	for (size_t i = 0; i < b->query_count; i++) {
		strbuf_addch(&url, i == 0 ? '?' : '&');
		uri_encode(&url, b->query[i].name, false);
		if (b->query[i].value) {
			strbuf_addch(&url, '=');
			uri_encode(&url, b->query[i].value, false);
		}
	}
	return strbuf_detach(&url);
}

static int sign(struct build *b, const struct strbuf *path, time_t now, struct strbuf *authorization)
{
	const char *payload_hash = SIGV4_EMPTY_SHA256;
	struct sigv4_input in;

	if (b->bucket->anonymous)
		return 0;
	assert(b->bucket->signer);
	if (b->has_segments) {
		payload_hash = SIGV4_UNSIGNED_PAYLOAD;
	} else if (b->has_body) {
		sigv4_sha256_hex(b->body.data, b->body.len, b->payload_hash);
		payload_hash = b->payload_hash;
	}
	sigv4_date(now, b->date);
	build_add_header(b, "x-amz-date", b->date);
	build_add_header(b, "x-amz-content-sha256", payload_hash);
	if (b->bucket->session_token && *b->bucket->session_token)
		build_add_header(b, "x-amz-security-token", b->bucket->session_token);
	/* Last, and taken off again: libcurl sends the same Host by itself. */
	build_add_header(b, "host", b->bucket->host);
	if (b->error)
		return b->error;

	in = (struct sigv4_input){
		.method = b->method,
		.canonical_uri = path->data,
		.query = b->query,
		.query_count = b->query_count,
		.headers = b->headers,
		.header_count = b->header_count,
		.payload_hash = payload_hash,
		.now = now,
	};
	b->error = sigv4_authorize(b->bucket->signer, &in, authorization);
	b->header_count--;
	if (b->error == 0) {
		if (authorization->failed)
			build_fail(b, -ENOMEM);
		else
			build_add_header(b, "authorization", authorization->data);
	}
	return b->error;
}

static char *put_string(char *at, const char *s)
{
	size_t len = strlen(s);

	memcpy(at, s, len);
	return at + len;
}

/* Header lines as libcurl takes them: "name: value", "name;" for an empty value, "name:" to leave out what libcurl
 * would add. The pointers and what they point to are one block. */
static int pack_headers(const struct build *b, struct wire_request *out)
{
	/* A POST without a type would be sent as a form. */
	const char *extra[] = {"Expect:", "Content-Type:"};
	bool may_have_body = !strcmp(b->method, "POST") || !strcmp(b->method, "PUT");
	size_t extra_count = may_have_body && !b->has_content_type ? 2 : 1;
	size_t count = b->header_count + extra_count;
	size_t bytes = (count + 1) * sizeof(char *);
	char **lines, *at;

	for (size_t i = 0; i < b->header_count; i++)
		bytes += strlen(b->headers[i].name) + strlen(b->headers[i].value) + 3;
	for (size_t i = 0; i < extra_count; i++)
		bytes += strlen(extra[i]) + 1;
	lines = malloc(bytes);
	if (!lines)
		return -ENOMEM;

	at = (char *)(lines + count + 1);
	for (size_t i = 0; i < b->header_count; i++) {
		const struct sigv4_header *h = &b->headers[i];

		lines[i] = at;
		at = put_string(at, h->name);
		if (h->value[strspn(h->value, " \t")]) {
			at = put_string(at, ": ");
			at = put_string(at, h->value);
		} else {
			*at++ = ';';
		}
		*at++ = '\0';
	}
	for (size_t i = 0; i < extra_count; i++) {
		lines[b->header_count + i] = at;
		at = put_string(at, extra[i]);
		*at++ = '\0';
	}
	lines[count] = NULL;
	assert((size_t)(at - (char *)lines) <= bytes);
	out->headers = lines;
	out->header_count = count;
	return 0;
}

int build_compose(struct build *b, time_t now, struct wire_request *out)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
	CLEANUP_STRBUF struct strbuf authorization = STRBUF_INIT;
	int rc;

	if (b->error)
		return b->error;
	rc = build_path(b, &path);
	if (rc < 0)
		return rc;
	rc = sign(b, &path, now, &authorization);
	if (rc < 0)
		return rc;
	rc = pack_headers(b, out);
	if (rc < 0)
		return rc;
	out->url = build_url(b, &path);
	if (!out->url)
		return -ENOMEM;
	out->method = b->method;
	out->has_segments = b->has_segments;
	if (b->has_body) {
		out->body_bytes = b->body.len;
		out->body = strbuf_detach(&b->body);
		if (!out->body)
			return -ENOMEM;
	}
	return 0;
}
