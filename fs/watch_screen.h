/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One picture of a mount at work, as "s3bridge status --watch" shows it. Pure: statuses in, text out. */
#ifndef S3B_FS_WATCH_SCREEN_H
#define S3B_FS_WATCH_SCREEN_H

#include <jansson.h>

#include "s3/base/strbuf.h"

struct watch_screen {
	json_t *now;    /* status.json */
	json_t *before; /* some seconds ago: rates are measured from there; NULL: not yet */
	json_t *since;  /* when the work that goes on began: its progress is counted from there; NULL: not known */
	unsigned width; /* no line is longer; at least 40 */
	unsigned height; /* and not more lines; 0: as many as it takes */
};

#define WATCH_WIDTH_MIN 40u

/* Lines, each with its newline. */
void watch_screen_draw(const struct watch_screen *w, struct strbuf *out);

#endif
