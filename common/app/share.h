/*
 * Where the files are that came with plait: "templates", "recipes".
 */
#ifndef PL_APP_SHARE_H
#define PL_APP_SHARE_H

/*
 * The folder `name`, the caller's to free(): what the variable `given` says where it is set
 * ("PLAIT_TEMPLATES"), or looked for from where the program lies: installed, in a build folder, in
 * the sources around it. The last place where it is nowhere, for an error that names it. NULL: no
 * memory.
 */
char *pl_share_folder(const char *given, const char *name);

#endif
