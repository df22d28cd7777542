/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon from its birth to its end: puts the rooms together, serves, and leaves nothing behind. */
#ifndef S3B_FS_SERVE_H
#define S3B_FS_SERVE_H

#include "fs/config.h"

/* Connects to every bucket, mounts, serves until the end. READY_FD is for daemon_ready, -1 in the foreground. The
 * secrets in CONFIG are wiped. Returns an exit code: EXIT_FAILED when it could not be mounted, or when changes were
 * lost. */
int serve(struct config *config, int ready_fd);

#endif
