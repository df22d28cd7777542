/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where on a plot a moment lies, and which numbers stand beside its axes. */
#include "fs/svg_plot.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "fs/svg_internal.h"

#define COLUMN_MIN_PX 1.0
#define TICK_MIN_PX   64.0
#define CUT_PX        12.0
#define CUTS_SHARE    0.25 /* of the width, at most */
#define CUT_FROM_S    3.0  /* idle time shorter than this, or than a small part of all, is drawn as long as it was */
#define CUT_FROM_PART 0.04

double svg_step(double max, int want, bool is_binary)
{
	double rough = max / want, power;

	assert(want > 0);
	if (!(rough > 0) || !isfinite(rough))
		return 1;
	if (is_binary && rough > 1)
		return exp2(ceil(log2(rough) - 1e-9));
	power = pow(10, floor(log10(rough) + 1e-9));
	for (int i = 0; i < 3; i++) {
		static const double steps[] = {1, 2, 5};

		if (rough <= steps[i] * power * (1 + 1e-9))
			return steps[i] * power;
	}
	return 10 * power;
}

double svg_time_step(double seconds, int want)
{
	static const double steps[] = {1,   2,    5,    10,   15,   30,    60,    120,   300,
				       600, 900,  1800, 3600, 7200, 10800, 21600, 43200, 86400};
	const size_t count = sizeof(steps) / sizeof(*steps);

	assert(want > 0);
	for (size_t i = 0; i < count; i++)
		if (seconds / want <= steps[i])
			return steps[i];
	return steps[count - 1] * svg_step(seconds / steps[count - 1], want, false);
}

const char *svg_time_text(double at_s, double total_s, char text[SVG_TIME_BYTES])
{
	unsigned long s = at_s > 0 ? (unsigned long)(at_s + 0.5) : 0;

	if (total_s < 120)
		snprintf(text, SVG_TIME_BYTES, "%lu s", s);
	else if (total_s < 3600)
		snprintf(text, SVG_TIME_BYTES, "%lu:%02lu", s / 60, s % 60);
	else
		snprintf(text, SVG_TIME_BYTES, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
	return text;
}

/* ----------------------------------------------------------------------------------------------------- layout */

/* How time becomes pixels. */
struct layout {
	double cut_from_s; /* idle time from here on is cut short */
	double cut_px;
	double px_per_s;
};

static bool is_cut(const struct layout *l, double gap_s)
{
	return gap_s > l->cut_from_s;
}

static struct layout lay_out(const double *start_s, const double *end_s, size_t count)
{
	struct layout l = {0};
	double shown_s = 0;
	size_t cuts = 0;

	for (size_t i = 0; i < count; i++)
		shown_s += end_s[i] - start_s[i];
	l.cut_from_s = fmax(CUT_FROM_S, CUT_FROM_PART * shown_s);
	for (size_t i = 1; i < count; i++) {
		double gap_s = start_s[i] - end_s[i - 1];

		if (is_cut(&l, gap_s))
			cuts++;
		else
			shown_s += gap_s;
	}
	if (cuts)
		l.cut_px = fmin(CUT_PX, CUTS_SHARE * PLOT_WIDTH / (double)cuts);
	l.px_per_s = (PLOT_WIDTH - l.cut_px * (double)cuts) / (shown_s > 0 ? shown_s : 1);
	return l;
}

static void add_cut(struct svg_axis *a, double x0, double x1)
{
	if (a->cut_count < SVG_CUTS)
		a->cuts[a->cut_count++] = (struct svg_cut){x0, x1};
}

/* A sample becomes a column of its own, or part of the last when that is too narrow to be seen. */
static void add_sample(struct svg_axis *a, size_t i, double x0, double x1, bool is_after_gap)
{
	struct svg_column *last = a->column_count ? &a->columns[a->column_count - 1] : NULL;

	if (last && ((!is_after_gap && last->x1 - last->x0 < COLUMN_MIN_PX) || a->column_count == SVG_COLUMNS)) {
		last->x1 = x1;
		last->count++;
		return;
	}
	a->columns[a->column_count++] =
		(struct svg_column){.x0 = x0, .x1 = x1, .first = i, .count = 1, .is_after_gap = is_after_gap};
}

/* The moments in a stretch of time without a cut that get a label: whole steps, or its start when there is none. */
static void add_ticks(struct svg_axis *a, double from_s, double to_s, double x, double px_per_s, double step_s)
{
	double first_s = ceil(from_s / step_s - 1e-6) * step_s;

	if (first_s > to_s)
		first_s = from_s;
	for (double at_s = first_s; at_s <= to_s + 1e-6 && a->tick_count < SVG_TICKS; at_s += step_s) {
		double at_x = x + (at_s - from_s) * px_per_s;

		if (a->tick_count && at_x - a->ticks[a->tick_count - 1].x < TICK_MIN_PX)
			continue;
		a->ticks[a->tick_count++] = (struct svg_tick){.x = at_x, .at_s = at_s};
	}
}

void svg_axis_init(struct svg_axis *a, const double *start_s, const double *end_s, size_t count)
{
	struct layout l = lay_out(start_s, end_s, count);
	double x = PLOT_LEFT, stretch_x = x, step_s = svg_time_step(PLOT_WIDTH / l.px_per_s, (int)(PLOT_WIDTH / TICK_MIN_PX));
	size_t stretch = 0; /* the first sample since the last cut */

	*a = (struct svg_axis){.start_s = start_s, .end_s = end_s, .total_s = count ? end_s[count - 1] : 0};
	for (size_t i = 0; i < count; i++) {
		double gap_s = i ? start_s[i] - end_s[i - 1] : 0, x1;

		if (is_cut(&l, gap_s)) {
			add_ticks(a, start_s[stretch], end_s[i - 1], stretch_x, l.px_per_s, step_s);
			add_cut(a, x, x + l.cut_px);
			x += l.cut_px;
			stretch = i;
			stretch_x = x;
		} else {
			x += gap_s * l.px_per_s;
		}
		x1 = x + (end_s[i] - start_s[i]) * l.px_per_s;
		add_sample(a, i, x, x1, gap_s > 0);
		x = x1;
	}
	if (count)
		add_ticks(a, start_s[stretch], end_s[count - 1], stretch_x, l.px_per_s, step_s);
}
