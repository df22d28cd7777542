/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Escapes in lines of text. */
#include "fs/escape.h"

#include <stdbool.h>
#include <stdint.h>

/* 0: no UTF-8. NUL ends every loop here, as it is no continuation byte. */
static size_t decode(const unsigned char *s, uint32_t *code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 :
		     s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	if (len < 2) {
		*code = s[0];
		return len;
	}
	*code = s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3f);
	}
	return *code < smallest[len] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : len;
}

static bool is_plain(uint32_t code)
{
	if (code < 0x20 || code == '\\' || (code >= 0x7f && code < 0xa0))
		return false;
	/* Separators of lines and paragraphs, marks of direction. */
	return code != 0x200e && code != 0x200f && !(code >= 0x2028 && code <= 0x202e) &&
	       !(code >= 0x2066 && code <= 0x2069);
}

size_t escape_plain_length(const char *s)
{
	uint32_t code;
	size_t len = decode((const unsigned char *)s, &code);

	return len && is_plain(code) ? len : 0;
}

void escape_line(struct strbuf *out, const char *s)
{
	while (*s) {
		size_t len = escape_plain_length(s);

		if (len) {
			strbuf_add(out, s, len);
			s += len;
			continue;
		}
		if (*s == '\\')
			strbuf_addstr(out, "\\\\");
		else
			strbuf_addf(out, "\\x%02x", (unsigned char)*s);
		s++;
	}
}
