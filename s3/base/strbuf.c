/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A growing byte string. */
#include "s3/base/strbuf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most strings here are URLs and header values: with this start they are allocated once or twice. */
#define STRBUF_MIN_BYTES ((size_t)128)

/* Room for EXTRA more bytes and the NUL. */
static bool strbuf_grow(struct strbuf *sb, size_t extra)
{
	size_t need, capacity;
	char *data;

	if (sb->failed)
		return false;
	/* Half of the address space is out of reach anyway, and below it doubling cannot overflow. */
	if (extra >= SIZE_MAX / 2 - sb->len) {
		sb->failed = true;
		return false;
	}
	need = sb->len + extra + 1;
	if (need <= sb->capacity_bytes)
		return true;
	capacity = sb->capacity_bytes ? sb->capacity_bytes : STRBUF_MIN_BYTES;
	while (capacity < need)
		capacity *= 2;
	data = realloc(sb->data, capacity);
	if (!data) {
		sb->failed = true;
		return false;
	}
	sb->data = data;
	sb->capacity_bytes = capacity;
	return true;
}

void strbuf_free(struct strbuf *sb)
{
	free(sb->data);
	*sb = STRBUF_INIT;
}

void strbuf_reset(struct strbuf *sb)
{
	sb->len = 0;
	sb->failed = false;
	if (sb->data)
		sb->data[0] = '\0';
}

void strbuf_add(struct strbuf *sb, const void *bytes, size_t len)
{
	assert(bytes || !len);
	if (!strbuf_grow(sb, len))
		return;
	if (len)
		memcpy(sb->data + sb->len, bytes, len);
	sb->len += len;
	sb->data[sb->len] = '\0';
}

void strbuf_addstr(struct strbuf *sb, const char *s)
{
	strbuf_add(sb, s, strlen(s));
}

void strbuf_addch(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list args;
	int len;

	if (!strbuf_grow(sb, 0))
		return;
	va_start(args, fmt);
	len = vsnprintf(sb->data + sb->len, sb->capacity_bytes - sb->len, fmt, args);
	va_end(args);
	if (len < 0) {
		sb->data[sb->len] = '\0';
		sb->failed = true;
		return;
	}
	if ((size_t)len >= sb->capacity_bytes - sb->len) {
		sb->data[sb->len] = '\0';
		if (!strbuf_grow(sb, (size_t)len))
			return;
		va_start(args, fmt);
		vsnprintf(sb->data + sb->len, sb->capacity_bytes - sb->len, fmt, args);
		va_end(args);
	}
	sb->len += (size_t)len;
}

char *strbuf_detach(struct strbuf *sb)
{
	char *data = NULL;

	if (strbuf_grow(sb, 0)) {
		data = sb->data;
		data[sb->len] = '\0';
		sb->data = NULL;
	}
	strbuf_free(sb);
	return data;
}
