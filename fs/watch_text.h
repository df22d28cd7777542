/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text that fits: columns, bars, and times to come. Pure. */
#ifndef S3B_FS_WATCH_TEXT_H
#define S3B_FS_WATCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/base/strbuf.h"

/* At least as many columns as a terminal takes for S (escaped, UTF-8): whatever could be wide counts as two. */
unsigned watch_columns(const char *s);

/* How many bytes of S fit into so many columns; whole characters. */
size_t watch_fit(const char *s, unsigned columns);

/* Adds S, escaped, in at most COLUMNS columns. What does not fit is left out at the beginning (KEEP_END) or the end, and "..."
 * stands for it. */
void watch_add_cut(struct strbuf *out, const char *s, unsigned columns, bool keep_end);

/* "[###...]" of COLUMNS columns, PART of WHOLE filled: never full before PART is WHOLE, and never empty after 0. */
void watch_add_bar(struct strbuf *out, uint64_t part, uint64_t whole, unsigned columns);

/* Seconds until REMAINING_BYTES have moved; -1 when nobody knows. */
double watch_eta_s(uint64_t remaining_bytes, double bytes_per_s);

/* "0:09", "1:02:03", "2 d 3 h"; "-" for a negative time or one beyond all plans. */
#define WATCH_ETA_BYTES 24
const char *watch_eta_text(double seconds, char out[WATCH_ETA_BYTES]);

#endif
