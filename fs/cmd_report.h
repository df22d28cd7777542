/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "s3bridge report". ARGV[0] is the command's name; returns an exit code. */
#ifndef S3B_FS_CMD_REPORT_H
#define S3B_FS_CMD_REPORT_H

int cmd_report(int argc, char **argv);

#endif
