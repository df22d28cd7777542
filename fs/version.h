/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The version, as configure knows it. */
#ifndef S3B_FS_VERSION_H
#define S3B_FS_VERSION_H

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

#endif
