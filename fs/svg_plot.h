/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plots over time as inline SVG in an HTML figure, well-formed as XML too. Pure.
 *
 * Colours and sizes of text come from svg_plot_style, so that they follow light and dark, narrow windows and paper. Values
 * are those of samples with a start and an end, and are drawn as steps: a mean over a second is no line through it. Time
 * without samples is left blank, and cut short where it would take the room of what there is to see. */
#ifndef S3B_FS_SVG_PLOT_H
#define S3B_FS_SVG_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "s3/base/strbuf.h"

#define SVG_COLOURS 8
extern const char svg_plot_style[]; /* CSS, for the page */

/* S as text or attribute value. What XML cannot hold, and what would turn the direction of writing, is
 * written as \xHH. */
void svg_escape(struct strbuf *out, const char *s);

/* The distance of ticks that divides 0..MAX into at most WANT steps: 1, 2 or 5 times a power of ten, or with BINARY a
 * power of two (above 1). */
double svg_step(double max, int want, bool is_binary);
/* The same of seconds: whole parts of minutes, hours and days. */
double svg_time_step(double seconds, int want);
/* "1:05:09", "1:05" or, when it is all about TOTAL_S seconds below two minutes, "65 s". */
#define SVG_TIME_BYTES 32
const char *svg_time_text(double at_s, double total_s, char text[SVG_TIME_BYTES]);

/* ------------------------------------------------------------------------------------------------- time axis */

#define SVG_COLUMNS 480
#define SVG_TICKS   12
#define SVG_CUTS    64

/* One axis serves all plots of a page. */
struct svg_axis {
	size_t column_count;
	struct svg_column {
		double x0, x1;         /* pixels */
		size_t first, count;   /* samples, of which the mean is drawn */
		bool is_after_gap;
	} columns[SVG_COLUMNS];
	const double *start_s, *end_s; /* borrowed */
	size_t tick_count;
	struct svg_tick {
		double x, at_s;
	} ticks[SVG_TICKS];
	size_t cut_count; /* idle time that was cut short */
	struct svg_cut {
		double x0, x1;
	} cuts[SVG_CUTS];
	double total_s;
};
/* COUNT samples in order, which do not overlap; the first starts at 0. */
void svg_axis_init(struct svg_axis *axis, const double *start_s, const double *end_s, size_t count);

/* ------------------------------------------------------------------------------------------------------ plots */

enum svg_kind {
	SVG_COUNT,
	SVG_RATE,  /* bytes a second; powers of 1000 */
	SVG_BYTES, /* powers of 1024 */
	SVG_MS,    /* milliseconds, or seconds when they are many */
};
enum svg_style {
	SVG_AREA, /* stacked on the areas before it */
	SVG_LINE,
	SVG_DASHED,
};
struct svg_series {
	const char *name;     /* NULL: not in the key, because it goes with the one before */
	const double *values; /* for each sample of the axis; NAN: not known */
	enum svg_style style;
	unsigned colour;
};
struct svg_plot {
	const char *title;
	const char *note; /* NULL, or what is written below */
	enum svg_kind kind;
	bool is_log;
	const struct svg_axis *axis;
	const struct svg_series *series;
	size_t series_count;
};
void svg_plot(struct strbuf *out, const struct svg_plot *p);

#endif
