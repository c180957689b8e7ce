/*
 * What drm_fourcc.h and libdrm say of modifiers. First a line for each row of ROWS that this header has: its number, and the value
 * of its expression. Then, for each hexadecimal number on standard input: the number, and libdrm's name for it or -.
 *
 *   cc -I/usr/include/libdrm '-DROWS="rows.h"' modifier_names.c -ldrm
 */
#include <stdio.h>
#include <stdlib.h>

#include <drm_fourcc.h>
#include <xf86drm.h>

#define ROW(number, expression) printf("%s\t%016llx\n", number, (unsigned long long)(expression));

int main(void)
{
	unsigned long long modifier;

#include ROWS
	while (scanf("%llx", &modifier) == 1) {
		char *name = drmGetFormatModifierName(modifier);

		printf("%016llx\t%s\n", modifier, name ? name : "-");
		free(name);
	}
	return 0;
}
