/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text that fits. */
#include "fs/watch_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "fs/escape.h"
#include "s3/base/cleanup.h"

#define DOTS "..."
#define DOTS_COLUMNS 3u
#define ETA_MAX_S (1000.0 * 86400)

/* The bytes of the character at S (not NUL), and its columns. */
static size_t next_char(const char *s, unsigned *columns)
{
	size_t len = escape_plain_length(s);

	/* Wide characters have three bytes or more; some that have are not wide, which only cuts earlier. */
	*columns = len >= 3 ? 2 : 1;
	return len ? len : 1;
}

unsigned watch_columns(const char *s)
{
	unsigned all = 0, one;

	while (*s) {
		s += next_char(s, &one);
		all += one;
	}
	return all;
}

size_t watch_fit(const char *s, unsigned columns)
{
	unsigned used = 0, one;
	size_t len = 0;

	while (s[len]) {
		size_t next = next_char(s + len, &one);

		used += one;
		if (used > columns)
			break;
		len += next;
	}
	return len;
}

static const char *skip_columns(const char *s, unsigned columns)
{
	unsigned gone = 0, one;

	while (*s && gone < columns) {
		s += next_char(s, &one);
		gone += one;
	}
	return s;
}

void watch_add_cut(struct strbuf *out, const char *s, unsigned columns, bool keep_end)
{
	CLEANUP_STRBUF struct strbuf escaped = STRBUF_INIT;
	const char *text;
	unsigned all;

	escape_line(&escaped, s);
	text = escaped.data ? escaped.data : "";
	all = watch_columns(text);
	if (all <= columns) {
		strbuf_addstr(out, text);
		return;
	}
	if (columns <= DOTS_COLUMNS) {
		strbuf_add(out, DOTS, columns);
		return;
	}
	columns -= DOTS_COLUMNS;
	if (keep_end) {
		strbuf_addstr(out, DOTS);
		strbuf_addstr(out, skip_columns(text, all - columns));
		return;
	}
	strbuf_add(out, text, watch_fit(text, columns));
	strbuf_addstr(out, DOTS);
}

void watch_add_bar(struct strbuf *out, uint64_t part, uint64_t whole, unsigned columns)
{
	unsigned cells = columns > 2 ? columns - 2 : 1, filled;

	if (part >= whole)
		filled = whole ? cells : 0;
	else
		filled = (unsigned)((double)part / (double)whole * cells);
	if (part && !filled)
		filled = 1;
	if (part < whole && filled == cells)
		filled = cells - 1;
	strbuf_addch(out, '[');
	for (unsigned i = 0; i < cells; i++)
		strbuf_addch(out, i < filled ? '#' : '.');
	strbuf_addch(out, ']');
}

double watch_eta_s(uint64_t remaining_bytes, double bytes_per_s)
{
	if (!remaining_bytes)
		return 0;
	return bytes_per_s > 0 ? (double)remaining_bytes / bytes_per_s : -1;
}

const char *watch_eta_text(double seconds, char out[WATCH_ETA_BYTES])
{
	uint64_t s;

	/* Also of a time that is no number. */
	if (!(seconds >= 0 && seconds < ETA_MAX_S)) {
		snprintf(out, WATCH_ETA_BYTES, "-");
		return out;
	}
	s = (uint64_t)ceil(seconds);
	if (s >= 2 * 86400)
		snprintf(out, WATCH_ETA_BYTES, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(out, WATCH_ETA_BYTES, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(out, WATCH_ETA_BYTES, "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
	return out;
}
