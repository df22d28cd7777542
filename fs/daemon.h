/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Going into the background without leaving the caller in the dark: the parent returns only when the child says that it
 * is ready, or has ended; until then the child complains on the terminal itself. */
#ifndef S3B_FS_DAEMON_H
#define S3B_FS_DAEMON_H

#include <stdbool.h>

/* Forks; no thread may have been started. In the child: -1, with *READY_FD to be given to daemon_ready. In the parent,
 * when the child is ready or has ended: the exit code to leave with. */
int daemon_start(int *ready_fd);

/* Lets go of the terminal and of the parent. False: the parent has been killed while it waited. Any thread. */
bool daemon_ready(int ready_fd);

#endif
