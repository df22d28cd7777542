/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Percent-encoding as SigV4 wants it. */
#include "s3/uri.h"

/* By hand and not isalnum(): that one asks the locale. */
static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

void uri_encode(struct strbuf *out, const char *s, bool keep_slash)
{
	static const char hex[] = "0123456789ABCDEF";

	strbuf_add(out, "", 0);
	while (*s) {
		const char *run = s;

		while (is_unreserved(*s) || (keep_slash && *s == '/'))
			s++;
		strbuf_add(out, run, (size_t)(s - run));
		if (*s) {
			unsigned char c = (unsigned char)*s++;
			char escape[3] = {'%', hex[c >> 4], hex[c & 15]};

			strbuf_add(out, escape, sizeof(escape));
		}
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The byte that the escape at P ("%XX") stands for, or -1. The first digit is looked at before the second, so a NUL
 * ends the look. */
static int unescape(const char *p)
{
	int high = hex_value(p[1]);
	int low = high < 0 ? -1 : hex_value(p[2]);

	return low < 0 ? -1 : high << 4 | low;
}

bool uri_decode(char *s, bool plus_is_space)
{
	char *to = s;

	for (const char *p = s; *p; p++) {
		if (*p == '%' && unescape(p) <= 0)
			return false;
	}
	for (const char *p = s; *p; p++) {
		if (*p == '%') {
			*to++ = (char)unescape(p);
			p += 2;
		} else {
			*to++ = plus_is_space && *p == '+' ? ' ' : *p;
		}
	}
	*to = '\0';
	return true;
}
