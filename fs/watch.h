/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The live screen of "s3bridge status --watch". */
#ifndef S3B_FS_WATCH_H
#define S3B_FS_WATCH_H

/* Shows what the mount does, anew each second, until a signal ends it (EXIT_OK) or the mount goes away (EXIT_FAILED, after a
 * sentence). On a terminal the screen is drawn over; else one picture follows another. */
int watch_run(const char *mountpoint);

#endif
