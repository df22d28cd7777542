/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names that anybody may have chosen, in text made of lines: for files in the control directory, and for terminals. */
#ifndef S3B_FS_ESCAPE_H
#define S3B_FS_ESCAPE_H

#include <stddef.h>

#include "s3/base/strbuf.h"

/* Adds S as it is, but for backslashes (\\) and for whatever could end a line, command a terminal, change the direction of
 * writing, or is no UTF-8 (\xHH for each byte). */
void escape_line(struct strbuf *out, const char *s);

/* How many bytes the UTF-8 character at S has; 0 when it is none, or one that escape_line would not leave as it is. */
size_t escape_plain_length(const char *s);

#endif
