/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Error sentences for people. They end up in terminals and logs, so nothing that a server or a key's name holds gets
 * through unescaped; and they are short, so every piece has its share of the room. */
#include "s3/wire_message.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "s3/bucket.h"
#include "s3/error.h"

/* Length of the UTF-8 sequence at S if it may be printed, else 0. C1 controls (U+0080 to U+009F) may not: terminals
 * obey them. */
static size_t printable_length(const unsigned char *s)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	if (len == 1)
		return s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

size_t wire_escape(char *out, size_t out_size, const char *s)
{
	static const char dots[] = "...";
	const unsigned char *in = (const unsigned char *)s;
	size_t at = 0, cut = 0; /* CUT: the last place where "..." still fits behind */

	assert(out_size > sizeof(dots));
	while (*in) {
		size_t len = printable_length(in);
		size_t needed = len ? len : 4;

		if (at + needed >= out_size) {
			memcpy(out + cut, dots, sizeof(dots));
			return cut + strlen(dots);
		}
		if (len)
			memcpy(out + at, in, len);
		else
			snprintf(out + at, out_size - at, "\\x%02x", *in);
		at += needed;
		in += len ? len : 1;
		if (at + sizeof(dots) <= out_size)
			cut = at;
	}
	out[at] = '\0';
	return at;
}

struct line {
	char *text;
	size_t size;
	size_t len;
};

static void add(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *l, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(l->text + l->len, l->size - l->len, fmt, args);
	va_end(args);
	if (n > 0)
		l->len += (size_t)n < l->size - l->len ? (size_t)n : l->size - l->len - 1;
}

/* At most MAX bytes, and never into the RESERVED ones at the end. */
static void add_escaped(struct line *l, const char *s, size_t max, size_t reserved)
{
	size_t room = l->size - l->len;

	room = room > reserved ? room - reserved : 0;
	if (room > max + 1)
		room = max + 1;
	if (room >= 8)
		l->len += wire_escape(l->text + l->len, room, s);
}

static void add_where(struct line *l, const struct s3_request *r, const char *key)
{
	if (r->bucket) {
		add(l, "bucket \"");
		add_escaped(l, r->bucket->label, 32, 0);
		add(l, "\" (");
		add_escaped(l, r->bucket->bucket, 63, 0);
		add(l, " at ");
		add_escaped(l, r->bucket->endpoint, 64, 0);
		add(l, "): ");
	}
	add(l, "%s", s3_op_name(r->op));
	if (key) {
		add(l, " \"");
		add_escaped(l, key, 40, 0);
		add(l, "\"");
	}
	if (r->src_key && (r->op == S3_OP_COPY || r->op == S3_OP_UPLOAD_PART_COPY)) {
		add(l, " from \"");
		add_escaped(l, r->src_key, 20, 0);
		add(l, "\"");
	}
}

void wire_message(struct s3_request *r, const char *key, const char *said, const char *advice)
{
	struct s3_result *res = &r->result;
	struct line l = {.text = res->message, .size = sizeof(res->message)};
	size_t reserved;

	assert(res->error != S3_OK);
	if (!advice)
		advice = error_advice(res->error);
	/* What to do comes last, and is worth more than all the words of the server. */
	reserved = advice ? strlen(advice) + strlen("): ") : strlen(")");

	add_where(&l, r, key);
	add(&l, ": %s", s3_error_name(res->error));
	if (res->code[0] || (said && *said) || res->http_status >= 300) {
		add(&l, " (");
		if (res->code[0])
			add_escaped(&l, res->code, 40, reserved);
		else if (res->http_status >= 300)
			add(&l, "HTTP %d", res->http_status);
		if (said && *said) {
			if (res->code[0] || res->http_status >= 300)
				add(&l, ": ");
			add_escaped(&l, said, 100, reserved);
		}
		add(&l, ")");
	}
	if (advice)
		add(&l, ": %s", advice);
}
