/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands that talk to a running daemon. ARGV[0] is the command's name; each returns an exit code. */
#ifndef S3B_FS_CMD_CLIENT_H
#define S3B_FS_CMD_CLIENT_H

int cmd_wait(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_unmount(int argc, char **argv);

#endif
