/*
 * Prints what one kernel header says about requests, structs, fields and constants, as lines of uapi.tsv.
 *
 *   cc -Ulinux -I/usr/include/libdrm '-DHEADER=<drm.h>' '-DHEADER_NAME="drm.h"' '-DROWS="rows.h"' uapi.c
 *
 * ROWS is a file of NUMBER(..), SIZE(..), OFFSET(.., ..) and CONSTANT(..) lines, one for each row that is wanted. The test `uapi`
 * writes it from uapi.tsv; uapi.tsv itself was made with a file written by hand.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include HEADER

#define NUMBER(name) printf("%s\t%s\tnumber\t0x%08lx\n", HEADER_NAME, #name, (unsigned long)(name) & 0xffffffffUL);
#define SIZE(tag) printf("%s\t%s\tsize\t%zu\n", HEADER_NAME, #tag, sizeof(tag));
#define OFFSET(tag, field) printf("%s\t%s.%s\toffset\t%zu\n", HEADER_NAME, #tag, #field, offsetof(tag, field));
#define CONSTANT(name) printf("%s\t%s\tconstant\t0x%08lx\n", HEADER_NAME, #name, (unsigned long)(name) & 0xffffffffUL);

int main(void)
{
#include ROWS
	return 0;
}
