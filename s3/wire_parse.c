/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a whole answer to a result: the class of error, or what the operation was for. An answer is believed only as far
 * as it keeps its promises: a range is the range that was asked for, XML is whole, a 200 holds no error. */
#include "s3/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3/bucket.h"
#include "s3/error.h"
#include "s3/request.h"
#include "s3/wire_message.h"
#include "s3/xml.h"

#define UNKNOWN_BYTES UINT64_MAX
#define WEB_PAGE      "the answer is a web page, not S3's"

/* Nothing of a failed answer may be taken for a result. */
static void set_error(struct s3_request *r, enum s3_error error, const char *key, const char *said, const char *advice)
{
	struct s3_result *res = &r->result;

	s3_result_clear_lists(res);
	s3_headers_clear(&res->headers);
	free(res->upload_id);
	res->upload_id = NULL;
	free(res->next_token);
	res->next_token = NULL;
	res->etag[0] = '\0';
	res->size_bytes = 0;
	res->last_modified = (struct timespec){0};
	res->error = error;
	wire_message(r, key, said, advice);
}

static void set_protocol_error(struct s3_request *r, const char *problem)
{
	set_error(r, S3_ERR_PROTOCOL, r->key, problem, NULL);
}

/* -------------------------------------------------------------------------------------------------- ranges */

/* NULL when the header lines promise exactly the bytes that were asked for; else what is wrong. LENGTH becomes how many
 * bytes that are. */
static const char *check_range(const struct s3_request *r, int http_status, uint64_t *length)
{
	const struct s3_result *res = &r->result;
	uint64_t end, total;

	*length = UNKNOWN_BYTES;
	if (http_status == 200) {
		if (res->wire.has_length)
			*length = res->wire.length_bytes;
		if (r->offset_bytes == 0 && r->length_bytes == 0)
			return NULL;
		/* A server without ranges will do as long as the range is the whole object. */
		if (r->offset_bytes == 0 && res->wire.has_length && res->wire.length_bytes <= r->length_bytes)
			return NULL;
		return "the whole object came instead of a range";
	}
	if (http_status != 206)
		return "neither 200 nor 206";
	if (!res->wire.has_range)
		return "206 without a Content-Range";

	total = res->wire.range_total_bytes;
	end = total;
	if (r->length_bytes > 0 && r->offset_bytes < total && r->length_bytes < total - r->offset_bytes)
		end = r->offset_bytes + r->length_bytes;
	if (res->wire.range_first != r->offset_bytes || res->wire.range_last != end - 1)
		return "another range came than was asked for";
	*length = end - r->offset_bytes;
	if (res->wire.has_length && res->wire.length_bytes != *length)
		return "Content-Length and Content-Range differ";
	return NULL;
}

bool wire_body_is_data(const struct s3_request *r, int http_status)
{
	uint64_t length;

	/* Bytes of a wrong range must not reach on_data: they would be taken for the right ones. */
	return r->op == S3_OP_GET && !check_range(r, http_status, &length);
}

static void finish_get(struct s3_request *r, int http_status)
{
	uint64_t length;
	const char *problem = check_range(r, http_status, &length);

	if (problem) {
		set_protocol_error(r, problem);
		return;
	}
	if (!r->on_data)
		return;
	if (length == UNKNOWN_BYTES)
		r->result.size_bytes = r->delivered_bytes;
	else if (r->delivered_bytes != length)
		set_protocol_error(r, "the body is not as long as promised");
}

static void finish_head(struct s3_request *r)
{
	/* Without it the object would look empty, and copies of it would be. */
	if (!r->result.wire.has_length)
		set_protocol_error(r, "no Content-Length");
}

/* ------------------------------------------------------------------------------------------------- errors */

/* What a web server, or a proxy on the way, answers to people. */
static bool is_web_page(const char *body, size_t body_bytes)
{
	static const char *const beginnings[] = {"<!doctype html", "<html"};

	while (body_bytes > 0 && strchr(" \t\r\n", *body)) {
		body++;
		body_bytes--;
	}
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
		if (body_bytes >= strlen(beginnings[i]) && !strncasecmp(body, beginnings[i], strlen(beginnings[i])))
			return true;
	return false;
}

/* Operations on a bucket: there "not found" means the bucket. */
static bool is_bucket_level(enum s3_op op)
{
	return op == S3_OP_HEAD_BUCKET || op == S3_OP_LIST || op == S3_OP_LIST_UPLOADS || op == S3_OP_DELETE_MANY;
}

static enum s3_error classify(const struct s3_request *r, int http_status)
{
	const struct s3_result *res = &r->result;
	enum s3_error error = error_from_code(res->code);

	if (error != S3_OK)
		return error;
	error = error_from_status(http_status);
	if (error == S3_OK) /* an error inside a 200, with a code of the server's own */
		return S3_ERR_SERVER;
	if (error == S3_ERR_NOT_FOUND && is_bucket_level(r->op))
		return S3_ERR_NO_BUCKET;
	/* HEAD has no body that would say AuthorizationHeaderMalformed. */
	if (error == S3_ERR_INVALID && !res->code[0] && res->bucket_region[0] && r->bucket && r->bucket->region &&
	    strcmp(res->bucket_region, r->bucket->region))
		return S3_ERR_REGION;
	return error;
}

static void region_advice(const struct s3_request *r, const struct xml_answer *a, char *out, size_t out_size)
{
	char text[72];

	out[0] = '\0';
	if (r->result.bucket_region[0]) {
		wire_escape(text, sizeof(text), r->result.bucket_region);
		snprintf(out, out_size, "set region = %s", text);
	} else if (a->endpoint[0]) {
		wire_escape(text, sizeof(text), a->endpoint);
		snprintf(out, out_size, "the bucket lives at %s", text);
	}
}

static void clock_advice(const struct s3_request *r, char *out, size_t out_size)
{
	struct tm tm;

	out[0] = '\0';
	if (r->result.wire.date && gmtime_r(&r->result.wire.date, &tm))
		strftime(out, out_size, "set the clock of this machine; the server has %Y-%m-%d %H:%M:%S UTC", &tm);
}

/* A is what could be read of the body: all empty when there was none. */
static void set_answered_error(struct s3_request *r, int http_status, const struct xml_answer *a)
{
	struct s3_result *res = &r->result;
	char advice[112] = "";
	enum s3_error error;

	memcpy(res->code, a->code, sizeof(res->code));
	if (!res->bucket_region[0])
		memcpy(res->bucket_region, a->region, sizeof(res->bucket_region));
	error = classify(r, http_status);
	if (error == S3_ERR_REGION)
		region_advice(r, a, advice, sizeof(advice));
	else if (error == S3_ERR_CLOCK)
		clock_advice(r, advice, sizeof(advice));
	else if (error == S3_ERR_ACCESS && r->bucket && r->bucket->anonymous)
		snprintf(advice, sizeof(advice), "no keys were found for it, so the request was not signed");
	else if (error == S3_ERR_PRECONDITION && r->if_none_match)
		snprintf(advice, sizeof(advice), "the object exists already");
	set_error(r, error, a->error_key ? a->error_key : r->key, a->message, advice[0] ? advice : NULL);
}

/* The status decides what the error is, but whose answer it was decides what to do about it. */
static void set_web_page_error(struct s3_request *r, int http_status)
{
	set_error(r, classify(r, http_status), r->key, WEB_PAGE, error_advice(S3_ERR_PROTOCOL));
}

static void finish_error(struct s3_request *r, int http_status, const char *body, size_t body_bytes)
{
	struct xml_answer a = {0};
	bool gone;

	/* A body that is no <Error> (a proxy's HTML) leaves the status to decide. */
	if (body_bytes == 0 || body_bytes > WIRE_ERROR_MAX_BYTES || xml_parse(body, body_bytes, true, &a) < 0 ||
	    a.root != XML_ROOT_ERROR)
		xml_answer_clear(&a);

	gone = http_status == 404 && strcmp(a.code, "NoSuchBucket") != 0;
	if (is_web_page(body, body_bytes))
		set_web_page_error(r, http_status);
	else if (r->op != S3_OP_DELETE || !gone)
		set_answered_error(r, http_status, &a);
	xml_answer_clear(&a);
}

/* ------------------------------------------------------------------------------------- answers with XML */

static enum xml_root expected_root(enum s3_op op)
{
	switch (op) {
	case S3_OP_LIST:
		return XML_ROOT_LIST;
	case S3_OP_COPY:
	case S3_OP_UPLOAD_PART_COPY:
		return XML_ROOT_COPY;
	case S3_OP_DELETE_MANY:
		return XML_ROOT_DELETE;
	case S3_OP_UPLOAD_CREATE:
		return XML_ROOT_INITIATE;
	case S3_OP_UPLOAD_COMPLETE:
		return XML_ROOT_COMPLETE;
	case S3_OP_LIST_PARTS:
		return XML_ROOT_PARTS;
	case S3_OP_LIST_UPLOADS:
		return XML_ROOT_UPLOADS;
	default:
		return XML_ROOT_NONE;
	}
}

/* Callers cut the prefix off without looking. */
static bool keys_have_prefix(const struct xml_answer *a, const char *prefix)
{
	size_t len = prefix ? strlen(prefix) : 0;

	for (size_t i = 0; len > 0 && i < a->entry_count; i++)
		if (strncmp(a->entries[i].key, prefix, len))
			return false;
	return true;
}

static const char *check_answer(const struct s3_request *r, const struct xml_answer *a)
{
	if (a->root != expected_root(r->op))
		return "the answer to another operation came";
	switch (r->op) {
	case S3_OP_LIST:
	case S3_OP_LIST_UPLOADS:
		if (!keys_have_prefix(a, r->prefix))
			return "a key was listed that has not the prefix";
		/* fall through */
	case S3_OP_LIST_PARTS:
		if (a->next_token && r->token && !strcmp(a->next_token, r->token))
			return "the next page is this page again";
		return NULL;
	case S3_OP_UPLOAD_CREATE:
		return a->upload_id && *a->upload_id ? NULL : "no upload id came";
	case S3_OP_UPLOAD_PART_COPY:
		return a->etag[0] ? NULL : "no ETag came";
	default:
		return NULL;
	}
}

static void take_answer(struct s3_result *res, struct xml_answer *a)
{
	if (a->etag[0])
		memcpy(res->etag, a->etag, sizeof(res->etag));
	if (a->last_modified.tv_sec)
		res->last_modified = a->last_modified;
	res->upload_id = a->upload_id;
	res->entries = a->entries;
	res->entry_count = a->entry_count;
	res->parts = a->parts;
	res->part_count = a->part_count;
	res->next_token = a->next_token;
	a->upload_id = NULL;
	a->entries = NULL;
	a->entry_count = 0;
	a->parts = NULL;
	a->part_count = 0;
	a->next_token = NULL;
}

static void finish_xml(struct s3_request *r, int http_status, const char *body, size_t body_bytes)
{
	/* Listings give keys that are used; other answers only echo what was asked for. */
	bool is_listing = r->op == S3_OP_LIST || r->op == S3_OP_LIST_UPLOADS;
	struct xml_answer a;
	const char *problem;
	int rc = xml_parse(body, body_bytes, !is_listing, &a);

	s3_result_clear_lists(&r->result);
	if (rc == -ENOMEM) {
		set_error(r, S3_ERR_NO_MEMORY, r->key, NULL, NULL);
	} else if (rc < 0) {
		set_protocol_error(r, is_web_page(body, body_bytes) ? WEB_PAGE : a.problem);
	} else if (a.root == XML_ROOT_ERROR || (a.root == XML_ROOT_DELETE && a.error_count > 0)) {
		set_answered_error(r, http_status, &a);
	} else {
		problem = check_answer(r, &a);
		if (problem)
			set_protocol_error(r, problem);
		else
			take_answer(&r->result, &a);
	}
	xml_answer_clear(&a);
}

/* ----------------------------------------------------------------------------------------------- the whole */

static void finish_success(struct s3_request *r, int http_status, const char *body, size_t body_bytes)
{
	struct s3_result *res = &r->result;

	if (r->op != S3_OP_GET && r->op != S3_OP_HEAD) {
		/* Length and type of the answer itself. */
		s3_headers_clear(&res->headers);
		res->size_bytes = 0;
	}
	switch (r->op) {
	case S3_OP_GET:
		finish_get(r, http_status);
		break;
	case S3_OP_HEAD:
		finish_head(r);
		break;
	case S3_OP_UPLOAD_PART:
		if (!res->etag[0])
			set_protocol_error(r, "no ETag came");
		break;
	default:
		if (expected_root(r->op) != XML_ROOT_NONE)
			finish_xml(r, http_status, body, body_bytes);
		break;
	}
}

void wire_finish(struct s3_request *r, int http_status, const char *body, size_t body_bytes)
{
	struct s3_result *res = &r->result;

	res->error = S3_OK;
	res->http_status = http_status;
	res->code[0] = '\0';
	res->message[0] = '\0';
	if (body_bytes > WIRE_BODY_MAX_BYTES)
		set_protocol_error(r, "the answer is too long");
	else if (http_status >= 200 && http_status <= 299)
		finish_success(r, http_status, body, body_bytes);
	else
		finish_error(r, http_status, body, body_bytes);
	assert((res->error == S3_OK) == (res->message[0] == '\0'));
}

void wire_fail(struct s3_request *r, int curl_code, const char *detail)
{
	struct s3_result *res = &r->result;
	enum s3_error error = error_from_curl(curl_code, detail);

	/* libcurl only knows that a callback refused the line. */
	if (res->wire.error != S3_OK) {
		error = res->wire.error;
		detail = error == S3_ERR_PROTOCOL ? "the header of the answer has no end" : "";
	}
	assert(error != S3_OK);
	res->http_status = 0;
	res->code[0] = '\0';
	/* What OpenSSL makes of an answer in plain text. */
	set_error(r, error, r->key, detail,
		  strstr(detail, "wrong version number")
			  ? "the server speaks no TLS there: is it http://, or another port?"
			  : NULL);
}
