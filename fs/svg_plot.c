/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Draws a plot. */
#include "fs/svg_plot.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fs/svg_internal.h"

#define Y_STEPS 5
#define DECADES_MAX 7

/* The colours can be told apart with any kind of colour vision, and in both schemes on their ground. */
const char svg_plot_style[] =
	":root{--c0:#0072b2;--c1:#d97706;--c2:#009e73;--c3:#b5489a;--c4:#56a5d8;--c5:#8a7a00;--c6:#c8381f;--c7:#777}\n"
	"@media(prefers-color-scheme:dark){:root{--c0:#4aa8e8;--c1:#f0a23a;--c2:#2fc79a;--c3:#e08cc8;--c4:#9ad0f5;"
	"--c5:#d6c83c;--c6:#ff7a5c;--c7:#aaa}}\n"
	".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}"
	".c4{--c:var(--c4)}.c5{--c:var(--c5)}.c6{--c:var(--c6)}.c7{--c:var(--c7)}\n"
	"figure{margin:0;min-width:0}figcaption{font-weight:600}"
	"figcaption i{font-weight:400;font-style:normal;color:var(--dim)}\n"
	"figure svg{display:block;width:100%;height:auto}figure p{margin:.2em 0 0;color:var(--dim);font-size:.85em}\n"
	"svg text{font:12px system-ui,sans-serif;fill:var(--dim)}svg .y{text-anchor:end}svg .x{text-anchor:middle}\n"
	"svg .g{stroke:var(--grid);stroke-width:1}svg .cut{fill:var(--grid);opacity:.6}\n"
	"svg .a{fill:var(--c);stroke:none}svg .l,svg .d{fill:none;stroke:var(--c);stroke-width:1.6;stroke-linejoin:round;"
	"stroke-linecap:round}\n"
	/* What is read from one server is written to the other: the first lines are wider, to be seen below the later ones. */
	"svg .l.c0{stroke-width:4}svg .l.c1{stroke-width:2.4}\n"
	"svg .d{stroke-dasharray:4 4;stroke-width:1.4}\n"
	".key{display:flex;flex-wrap:wrap;gap:.1em 1.1em;margin:.2em 0;font-size:.85em}.key span{overflow-wrap:anywhere}\n"
	".key b{display:inline-block;width:1.4em;height:.7em;margin-right:.4em;background:var(--c);"
	"-webkit-print-color-adjust:exact;print-color-adjust:exact}\n"
	".key b.l,.key b.d{height:0;background:none;border-top:.2em solid var(--c);vertical-align:.25em}"
	".key b.d{border-top-style:dashed}\n"
	"@media(max-width:600px){svg text{font-size:17px}svg .o{display:none}}\n";

/* A mark that turns the direction of writing (U+202A to U+202E, U+2066 to U+2069) would turn what follows the name. */
static bool is_direction_mark(const char *s)
{
	const unsigned char *c = (const unsigned char *)s;

	if (c[0] != 0xe2 || (c[1] != 0x80 && c[1] != 0x81))
		return false;
	return c[1] == 0x80 ? c[2] >= 0xaa && c[2] <= 0xae : c[2] >= 0xa6 && c[2] <= 0xa9;
}

/* NULL: C stands for itself. */
static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void svg_escape(struct strbuf *out, const char *s)
{
	for (; *s; s++) {
		size_t unsafe = is_direction_mark(s) ? 3 : (unsigned char)*s < 0x20 || *s == 0x7f ? 1 : 0;

		if (entity(*s))
			strbuf_addstr(out, entity(*s));
		else if (!unsafe)
			strbuf_addch(out, *s);
		for (size_t i = 0; i < unsafe; i++)
			strbuf_addf(out, "\\x%02x", (unsigned char)s[i]);
		s += unsafe ? unsafe - 1 : 0;
	}
}

/* A tenth of a pixel is enough. */
static void put_px(struct strbuf *out, double px)
{
	char text[32];
	size_t len = (size_t)snprintf(text, sizeof(text), "%.1f", px);

	if (len > 2 && !strcmp(text + len - 2, ".0"))
		text[len - 2] = '\0';
	strbuf_addstr(out, strcmp(text, "-0") ? text : "0");
}

/* -------------------------------------------------------------------------------------------------------- unit */

struct unit {
	const char *name;
	double size;
};

static struct unit unit_for(enum svg_kind kind, double max)
{
	static const struct unit rates[] = {{"GB/s", 1e9}, {"MB/s", 1e6}, {"kB/s", 1e3}, {"B/s", 1}};
	static const struct unit sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"bytes", 1}};

	if (kind == SVG_MS)
		return max > 10000 ? (struct unit){"s", 1000} : (struct unit){"ms", 1};
	if (kind == SVG_COUNT)
		return (struct unit){NULL, 1};
	for (int i = 0; i < 3; i++)
		if (max >= (kind == SVG_RATE ? rates : sizes)[i].size)
			return (kind == SVG_RATE ? rates : sizes)[i];
	return (kind == SVG_RATE ? rates : sizes)[3];
}

/* ------------------------------------------------------------------------------------------------------ values */

/* Weighted by time; NAN when no sample of the column is known. */
static double column_value(const struct svg_axis *a, const struct svg_column *c, const double *values)
{
	double sum = 0, weight = 0;

	for (size_t i = c->first; i < c->first + c->count; i++) {
		double w = a->end_s[i] - a->start_s[i];

		if (isnan(values[i]))
			continue;
		sum += values[i] * w;
		weight += w;
	}
	return weight > 0 ? sum / weight : NAN;
}

/* What is drawn: an area stands on those before it. */
static double drawn_value(const struct svg_plot *p, size_t series, const struct svg_column *c)
{
	double sum;

	if (p->series[series].style != SVG_AREA)
		return column_value(p->axis, c, p->series[series].values);
	sum = 0;
	for (size_t i = 0; i <= series; i++) {
		double v = p->series[i].style == SVG_AREA ? column_value(p->axis, c, p->series[i].values) : 0;

		sum += isnan(v) ? 0 : v;
	}
	return sum;
}

/* The vertical axis. */
struct scale {
	bool is_log;
	double low, high; /* as drawn; of logarithms when is_log */
	double step;
	struct unit unit;
};

static struct scale scale_for(const struct svg_plot *p)
{
	struct scale s = {.is_log = p->is_log};
	double max = 0, min = INFINITY;

	for (size_t i = 0; i < p->series_count; i++)
		for (size_t k = 0; k < p->axis->column_count; k++) {
			double v = drawn_value(p, i, &p->axis->columns[k]);

			if (v > max && isfinite(v))
				max = v;
			if (v > 0 && v < min)
				min = v;
		}
	s.unit = unit_for(p->kind, max);
	max /= s.unit.size;
	min /= s.unit.size;
	if (!p->is_log) {
		s.step = svg_step(max, Y_STEPS, p->kind == SVG_BYTES);
		if (p->kind == SVG_COUNT && s.step < 1)
			s.step = 1;
		s.high = fmax(1, ceil(max / s.step - 1e-9)) * s.step;
		return s;
	}
	s.high = max > 0 ? ceil(log10(max) - 1e-9) : 1;
	s.low = max > 0 ? floor(log10(min) + 1e-9) : 0;
	s.low = fmin(s.high - 1, fmax(s.low, s.high - DECADES_MAX));
	s.step = 1;
	return s;
}

static double y_of(const struct scale *s, double value)
{
	double v = value / s->unit.size, part;

	if (s->is_log)
		v = v > 0 ? log10(v) : s->low;
	part = (v - s->low) / (s->high - s->low);
	return PLOT_TOP + PLOT_HEIGHT * (1 - fmin(1, fmax(0, part)));
}

/* ----------------------------------------------------------------------------------------------------- drawing */

static void put_y_axis(struct strbuf *out, const struct scale *s)
{
	for (double v = s->low; v <= s->high + s->step / 2; v += s->step) {
		double shown = s->is_log ? pow(10, v) : v, y = y_of(s, shown * s->unit.size);

		strbuf_addf(out, "<path class=\"g\" d=\"M%g ", PLOT_LEFT);
		put_px(out, y);
		strbuf_addf(out, "h%g\"/><text class=\"y\" x=\"%g\" y=\"", PLOT_WIDTH, PLOT_LEFT - 6);
		put_px(out, y + 4);
		strbuf_addf(out, "\">%g</text>\n", shown);
	}
}

static void put_x_axis(struct strbuf *out, const struct svg_axis *a)
{
	char text[SVG_TIME_BYTES];

	for (size_t i = 0; i < a->cut_count; i++) {
		strbuf_addstr(out, "<rect class=\"cut\" x=\"");
		put_px(out, a->cuts[i].x0);
		strbuf_addf(out, "\" y=\"%g\" height=\"%g\" width=\"", PLOT_TOP, PLOT_HEIGHT);
		put_px(out, a->cuts[i].x1 - a->cuts[i].x0);
		strbuf_addstr(out, "\"/>\n");
	}
	for (size_t i = 0; i < a->tick_count; i++) {
		const char *class = i % 2 && a->total_s >= 3600 ? " o" : ""; /* long ones do not fit in a narrow window */

		strbuf_addf(out, "<path class=\"g%s\" d=\"M", class);
		put_px(out, a->ticks[i].x);
		strbuf_addf(out, " %gv4\"/><text class=\"x%s\" x=\"", PLOT_TOP + PLOT_HEIGHT, class);
		put_px(out, a->ticks[i].x);
		strbuf_addf(out, "\" y=\"%d\">%s</text>\n", PLOT_TOTAL_HEIGHT - 8,
			    svg_time_text(a->ticks[i].at_s, a->total_s, text));
	}
}

/* Lines go down to the ground only where an area ends. */
static void put_series(struct strbuf *out, const struct svg_plot *p, size_t series, const struct scale *s)
{
	static const char *const classes[] = {[SVG_AREA] = "a", [SVG_LINE] = "l", [SVG_DASHED] = "d"};
	const struct svg_series *from = &p->series[series];
	double ground = PLOT_TOP + PLOT_HEIGHT, y_before = 0;
	bool is_area = from->style == SVG_AREA, is_drawing = false;

	strbuf_addf(out, "<path class=\"%s c%u\" d=\"", classes[from->style], from->colour % SVG_COLOURS);
	for (size_t i = 0; i < p->axis->column_count; i++) {
		const struct svg_column *c = &p->axis->columns[i];
		double value = drawn_value(p, series, c), y;

		if (is_drawing && (c->is_after_gap || isnan(value))) {
			if (is_area)
				strbuf_addf(out, "V%gz", ground);
			is_drawing = false;
		}
		if (isnan(value))
			continue;
		y = round(y_of(s, value) * 10) / 10;
		if (!is_drawing) {
			strbuf_addch(out, 'M');
			put_px(out, c->x0);
			strbuf_addch(out, ' ');
			put_px(out, is_area ? ground : y);
		}
		if (is_drawing ? y != y_before : is_area) {
			strbuf_addch(out, 'V');
			put_px(out, y);
		}
		strbuf_addch(out, 'H');
		put_px(out, c->x1);
		is_drawing = true;
		y_before = y;
	}
	if (is_drawing && is_area)
		strbuf_addf(out, "V%gz", ground);
	strbuf_addstr(out, "\"/>\n");
}

static void put_key(struct strbuf *out, const struct svg_plot *p)
{
	static const char *const classes[] = {[SVG_AREA] = "", [SVG_LINE] = "l ", [SVG_DASHED] = "d "};

	strbuf_addstr(out, "<div class=\"key\">");
	for (size_t i = 0; i < p->series_count; i++) {
		if (!p->series[i].name)
			continue;
		strbuf_addf(out, "<span><b class=\"%sc%u\"></b>", classes[p->series[i].style],
			    p->series[i].colour % SVG_COLOURS);
		svg_escape(out, p->series[i].name);
		strbuf_addstr(out, "</span>");
	}
	strbuf_addstr(out, "</div>\n");
}

void svg_plot(struct strbuf *out, const struct svg_plot *p)
{
	struct scale s = scale_for(p);

	strbuf_addstr(out, "<figure><figcaption>");
	svg_escape(out, p->title);
	if (s.unit.name)
		strbuf_addf(out, " <i>in %s</i>", s.unit.name);
	strbuf_addstr(out, "</figcaption>\n");
	put_key(out, p);
	strbuf_addf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
		    PLOT_TOTAL_WIDTH, PLOT_TOTAL_HEIGHT);
	svg_escape(out, p->title);
	strbuf_addstr(out, " over time\">\n");
	/* A higher area is drawn first, and covered by those that it stands on. */
	for (size_t i = p->series_count; i-- > 0;)
		if (p->series[i].style == SVG_AREA)
			put_series(out, p, i, &s);
	put_y_axis(out, &s);
	put_x_axis(out, p->axis);
	for (size_t i = 0; i < p->series_count; i++)
		if (p->series[i].style != SVG_AREA)
			put_series(out, p, i, &s);
	strbuf_addstr(out, "</svg>\n");
	if (p->note) {
		strbuf_addstr(out, "<p>");
		svg_escape(out, p->note);
		strbuf_addstr(out, "</p>\n");
	}
	strbuf_addstr(out, "</figure>\n");
}
