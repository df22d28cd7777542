/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Header lines of an answer: what of them matters to the result, within bounds. */
#include "s3/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3/httpdate.h"

#define MAX_LINES      256
#define MAX_BYTES      ((uint32_t)64 << 10)
#define MAX_NAME_BYTES 256

/* The fields that belong to the object itself and are worth giving to a copy of it, besides x-amz-meta-*. Sorted. */
static const char *const object_fields[] = {
	"cache-control",       "content-disposition", "content-encoding",
	"content-language",    "content-type",        "expires",
	"x-amz-storage-class", "x-amz-tagging-count", "x-amz-website-redirect-location",
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, *(const char *const *)b);
}

static bool is_object_field(const char *name)
{
	return !strncmp(name, "x-amz-meta-", strlen("x-amz-meta-")) ||
	       bsearch(name, object_fields, sizeof(object_fields) / sizeof(object_fields[0]), sizeof(object_fields[0]),
		       compare_names);
}

static const char *parse_u64(const char *s, uint64_t *out)
{
	uint64_t value = 0;

	if (*s < '0' || *s > '9')
		return NULL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return NULL;
	*out = value;
	return s;
}

/* "bytes 0-99/1234". Anything else leaves has_range unset, which wire_finish takes for a broken promise. */
static void on_content_range(struct s3_result *res, const char *value)
{
	uint64_t first, last, total;

	if (strncasecmp(value, "bytes ", 6))
		return;
	value = parse_u64(value + 6, &first);
	if (!value || *value++ != '-')
		return;
	value = parse_u64(value, &last);
	if (!value || *value++ != '/')
		return;
	value = parse_u64(value, &total);
	if (!value || *value || first > last || last >= total)
		return;
	res->wire.has_range = true;
	res->wire.range_first = first;
	res->wire.range_last = last;
	res->wire.range_total_bytes = total;
	res->size_bytes = total;
}

static void on_content_length(struct s3_result *res, const char *value)
{
	uint64_t length;

	value = parse_u64(value, &length);
	if (!value || *value)
		return;
	res->wire.has_length = true;
	res->wire.length_bytes = length;
	if (!res->wire.has_range)
		res->size_bytes = length;
}

/* A date in Retry-After is by the server's clock, so it is measured against the Date of the same answer; the two may
 * come in any order. */
static void settle_retry_after(struct s3_result *res)
{
	time_t wait_s = res->wire.retry_after_date - res->wire.date;

	if (res->wire.retry_after_date == 0 || res->wire.date == 0)
		return;
	res->retry_after_ms = wait_s > 0 ? (int64_t)wait_s * 1000 : 0;
}

static void on_retry_after(struct s3_result *res, const char *value)
{
	uint64_t seconds;
	const char *end = parse_u64(value, &seconds);

	if (end && !*end) {
		res->retry_after_ms = seconds < INT32_MAX ? (int64_t)seconds * 1000 : (int64_t)INT32_MAX * 1000;
		return;
	}
	if (httpdate_parse(value, &res->wire.retry_after_date))
		settle_retry_after(res);
}

static void on_date(struct s3_result *res, const char *value)
{
	if (httpdate_parse(value, &res->wire.date))
		settle_retry_after(res);
}

static void on_last_modified(struct s3_result *res, const char *value)
{
	time_t t;

	if (httpdate_parse(value, &t))
		res->last_modified = (struct timespec){.tv_sec = t};
}

/* What does not fit is left out: half an ETag would be another one. */
static void keep_string(char *field, size_t size, const char *value)
{
	size_t len = strlen(value);

	if (len < size)
		memcpy(field, value, len + 1);
}

static void on_etag(struct s3_result *res, const char *value)
{
	keep_string(res->etag, sizeof(res->etag), value);
}

static void on_bucket_region(struct s3_result *res, const char *value)
{
	keep_string(res->bucket_region, sizeof(res->bucket_region), value);
}

static const struct {
	const char *name;
	void (*on_value)(struct s3_result *res, const char *value);
} handlers[] = {
	{"content-length", on_content_length},
	{"content-range", on_content_range},
	{"date", on_date},
	{"etag", on_etag},
	{"last-modified", on_last_modified},
	{"retry-after", on_retry_after},
	{"x-amz-bucket-region", on_bucket_region},
};

static bool on_field(struct s3_result *res, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (!strcmp(handlers[i].name, name)) {
			handlers[i].on_value(res, value);
			return true;
		}
	}
	if (is_object_field(name) && s3_headers_set(&res->headers, name, value) < 0) {
		res->wire.error = S3_ERR_NO_MEMORY;
		return false;
	}
	return true;
}

/* A 100 Continue or 103 Early Hints came before the real answer. What counts against the bounds goes on counting. */
static void forget(struct s3_result *res)
{
	uint32_t lines = res->wire.line_count, bytes = res->wire.line_bytes;

	s3_headers_clear(&res->headers);
	res->etag[0] = '\0';
	res->bucket_region[0] = '\0';
	res->size_bytes = 0;
	res->last_modified = (struct timespec){0};
	res->retry_after_ms = -1;
	memset(&res->wire, 0, sizeof(res->wire));
	res->wire.line_count = lines;
	res->wire.line_bytes = bytes;
}

static bool refuse(struct s3_result *res)
{
	res->wire.error = S3_ERR_PROTOCOL;
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char *copy_lower(char *out, const char *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = in[i] >= 'A' && in[i] <= 'Z' ? (char)(in[i] + 'a' - 'A') : in[i];
	out[len] = '\0';
	return out;
}

static bool split_line(struct s3_result *res, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	char name[MAX_NAME_BYTES];
	char small[1024];
	char *value = small;
	size_t name_len, value_len;
	bool ok;

	if (!colon)
		return true;
	name_len = (size_t)(colon - line);
	if (name_len == 0 || name_len >= sizeof(name) || is_blank(line[name_len - 1]))
		return true;
	copy_lower(name, line, name_len);

	do
		colon++;
	while (colon < line + len && is_blank(*colon));
	value_len = (size_t)(line + len - colon);
	if (value_len >= sizeof(small)) {
		value = malloc(value_len + 1);
		if (!value) {
			res->wire.error = S3_ERR_NO_MEMORY;
			return false;
		}
	}
	memcpy(value, colon, value_len);
	value[value_len] = '\0';
	ok = on_field(res, name, value);
	if (value != small)
		free(value);
	return ok;
}

bool wire_header_line(struct s3_result *res, const char *line, size_t len)
{
	if (res->wire.error != S3_OK)
		return false;
	if (res->wire.line_count >= MAX_LINES || len > MAX_BYTES - res->wire.line_bytes)
		return refuse(res);
	res->wire.line_count++;
	res->wire.line_bytes += (uint32_t)len;

	while (len > 0 && is_blank(line[len - 1]))
		len--;
	if (len == 0)
		return true;
	if (memchr(line, '\0', len))
		return refuse(res);
	if (len >= 5 && !memcmp(line, "HTTP/", 5)) {
		forget(res);
		return true;
	}
	/* A folded line would be read as part of the field before; no S3 server sends one. */
	if (is_blank(line[0]))
		return true;
	return split_line(res, line, len);
}
