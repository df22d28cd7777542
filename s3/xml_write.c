/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes the XML bodies of CompleteMultipartUpload and DeleteObjects. */
#include "s3/xml.h"

#include <errno.h>
#include <string.h>

#define NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

static size_t sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if ((first & 0xe0) == 0xc0)
		return 2;
	if ((first & 0xf0) == 0xe0)
		return 3;
	return (first & 0xf8) == 0xf0 ? 4 : 0;
}

/* Length of the UTF-8 sequence at S when XML 1.0 allows its character, else 0. */
static size_t xml_char_length(const unsigned char *s)
{
	static const unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = sequence_length(s[0]);
	unsigned c;

	if (len == 0)
		return 0;
	if (len == 1)
		return s[0] >= 0x20 || s[0] == '\t' || s[0] == '\n' || s[0] == '\r' ? 1 : 0;
	c = s[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || c == 0xfffe || c == 0xffff)
		return 0;
	return len;
}

bool s3_key_fits_xml(const char *key)
{
	const unsigned char *s = (const unsigned char *)key;
	size_t len;

	for (; *s; s += len) {
		len = xml_char_length(s);
		if (len == 0)
			return false;
	}
	return true;
}

static void add_escaped(struct strbuf *out, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			strbuf_addstr(out, "&amp;");
			break;
		case '<':
			strbuf_addstr(out, "&lt;");
			break;
		case '>':
			strbuf_addstr(out, "&gt;");
			break;
		case '"':
			strbuf_addstr(out, "&quot;");
			break;
		case '\t':
		case '\n':
		case '\r':
			/* A parser turns plain ones into others. */
			strbuf_addf(out, "&#%d;", *s);
			break;
		default:
			strbuf_addch(out, *s);
			break;
		}
	}
}

void xml_write_complete(struct strbuf *out, const struct s3_part *parts, size_t count)
{
	strbuf_addstr(out, "<CompleteMultipartUpload xmlns=\"" NAMESPACE "\">");
	for (size_t i = 0; i < count; i++) {
		strbuf_addf(out, "<Part><PartNumber>%u</PartNumber><ETag>", (unsigned)parts[i].number);
		add_escaped(out, parts[i].etag);
		strbuf_addstr(out, "</ETag></Part>");
	}
	strbuf_addstr(out, "</CompleteMultipartUpload>");
}

int xml_write_delete(struct strbuf *out, char *const *keys, size_t count)
{
	strbuf_addstr(out, "<Delete xmlns=\"" NAMESPACE "\"><Quiet>true</Quiet>");
	for (size_t i = 0; i < count; i++) {
		if (!s3_key_fits_xml(keys[i]))
			return -EINVAL;
		strbuf_addstr(out, "<Object><Key>");
		add_escaped(out, keys[i]);
		strbuf_addstr(out, "</Key></Object>");
	}
	strbuf_addstr(out, "</Delete>");
	return 0;
}
