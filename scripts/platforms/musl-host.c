/* Loads an addon as Node.js does, in a program that uses musl. It exports a stub for each function of Node.js. */
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
  if (count != 2) return 2;
  void *addon = dlopen(arguments[1], RTLD_NOW);
  if (!addon) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  void *(*init)(void *, void *) = dlsym(addon, "napi_register_module_v1");
  if (!init) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  init(0, 0);
  printf("musl: loaded and initialized %s\n", arguments[1]);
  return 0;
}
