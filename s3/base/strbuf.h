/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A growing byte string, always NUL-terminated once something was added.
 * Running out of memory sets `failed` and makes every later call do nothing: check once, at the end. */
#ifndef S3B_STRBUF_H
#define S3B_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf {
	char *data; /* owned; NULL while empty */
	size_t len;
	size_t capacity_bytes;
	bool failed;
};

#define STRBUF_INIT ((struct strbuf){0})
#define CLEANUP_STRBUF __attribute__((cleanup(strbuf_free)))

void strbuf_free(struct strbuf *sb);
void strbuf_reset(struct strbuf *sb); /* empties, keeps the memory */
void strbuf_add(struct strbuf *sb, const void *bytes, size_t len);
void strbuf_addstr(struct strbuf *sb, const char *s);
void strbuf_addch(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Gives the string away (the caller frees it) and leaves SB empty. "" when nothing was added; NULL when failed. */
char *strbuf_detach(struct strbuf *sb);

#endif
