/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The measures of a plot; private to fs/svg_*. */
#ifndef S3B_FS_SVG_INTERNAL_H
#define S3B_FS_SVG_INTERNAL_H

/* Room for labels on the left and below, also with the larger text of narrow windows. */
#define PLOT_TOTAL_WIDTH  560
#define PLOT_TOTAL_HEIGHT 210
#define PLOT_LEFT         54.0
#define PLOT_RIGHT        20.0
#define PLOT_TOP          10.0
#define PLOT_BOTTOM       28.0
#define PLOT_WIDTH        (PLOT_TOTAL_WIDTH - PLOT_LEFT - PLOT_RIGHT)
#define PLOT_HEIGHT       (PLOT_TOTAL_HEIGHT - PLOT_TOP - PLOT_BOTTOM)

#endif
