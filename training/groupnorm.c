/* GroupNorm, optionally followed by SiLU, forward and backward, for bfloat16 in channels-last order [N, HW, C].
   Statistics are float32. One thread; at most MAX_CHANNELS channels. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAX_CHANNELS 1024

typedef uint16_t bf16;

static inline float widen(bf16 x) {
    union { uint32_t bits; float value; } u = {.bits = (uint32_t)x << 16};
    return u.value;
}

static inline bf16 narrow(float x) {
    union { float value; uint32_t bits; } u = {.value = x};
    return (bf16)((u.bits + 0x7fff + ((u.bits >> 16) & 1)) >> 16);  /* round to nearest even */
}

void forward(const bf16 *restrict x, bf16 *restrict y, const float *weight, const float *bias, float *mean,
             float *rstd, int batch, int pixels, int channels, int groups, float eps, int silu) {
    float sum[MAX_CHANNELS], squares[MAX_CHANNELS], scale[MAX_CHANNELS], shift[MAX_CHANNELS];
    int width = channels / groups;
    for (int n = 0; n < batch; n++) {
        const bf16 *xn = x + (long)n * pixels * channels;
        bf16 *yn = y + (long)n * pixels * channels;
        memset(sum, 0, sizeof(float) * channels);
        memset(squares, 0, sizeof(float) * channels);
        for (int p = 0; p < pixels; p++) {
            const bf16 *row = xn + (long)p * channels;
            for (int c = 0; c < channels; c++) { float v = widen(row[c]); sum[c] += v; squares[c] += v * v; }
        }
        for (int g = 0; g < groups; g++) {
            float m = 0, q = 0, count = (float)width * pixels;
            for (int c = g * width; c < (g + 1) * width; c++) { m += sum[c]; q += squares[c]; }
            m /= count;
            q = q / count - m * m;
            float r = 1.f / sqrtf((q < 0 ? 0 : q) + eps);
            mean[n * groups + g] = m;
            rstd[n * groups + g] = r;
            for (int c = g * width; c < (g + 1) * width; c++) { scale[c] = r * weight[c]; shift[c] = bias[c] - m * scale[c]; }
        }
        for (int p = 0; p < pixels; p++) {
            const bf16 *row = xn + (long)p * channels;
            bf16 *out = yn + (long)p * channels;
            if (silu)
                for (int c = 0; c < channels; c++) { float z = widen(row[c]) * scale[c] + shift[c]; out[c] = narrow(z / (1.f + expf(-z))); }
            else
                for (int c = 0; c < channels; c++) out[c] = narrow(widen(row[c]) * scale[c] + shift[c]);
        }
    }
}

/* dweight and dbias are added to. */
void backward(const bf16 *restrict x, const bf16 *restrict dy, bf16 *restrict dx, const float *weight, const float *bias,
              const float *mean, const float *rstd, float *dweight, float *dbias, int batch, int pixels, int channels,
              int groups, int silu) {
    float sum[MAX_CHANNELS], products[MAX_CHANNELS], scale[MAX_CHANNELS], shift[MAX_CHANNELS];
    float slope[MAX_CHANNELS], offset[MAX_CHANNELS];
    int width = channels / groups;
    for (int n = 0; n < batch; n++) {
        long start = (long)n * pixels * channels;
        for (int c = 0; c < channels; c++) {
            int g = n * groups + c / width;
            scale[c] = rstd[g] * weight[c];
            shift[c] = bias[c] - mean[g] * scale[c];
            sum[c] = products[c] = 0;
        }
        for (int p = 0; p < pixels; p++) {
            const bf16 *row = x + start + (long)p * channels, *grad = dy + start + (long)p * channels;
            bf16 *out = dx + start + (long)p * channels;
            if (silu)
                for (int c = 0; c < channels; c++) {
                    float v = widen(row[c]), z = v * scale[c] + shift[c], s = 1.f / (1.f + expf(-z));
                    float t = widen(grad[c]) * s * (1.f + z * (1.f - s));
                    sum[c] += t;
                    products[c] += t * v;
                    out[c] = narrow(t);
                }
            else
                for (int c = 0; c < channels; c++) {
                    float v = widen(row[c]), t = widen(grad[c]);
                    sum[c] += t;
                    products[c] += t * v;
                    out[c] = grad[c];
                }
        }
        for (int g = 0; g < groups; g++) {
            float m = mean[n * groups + g], r = rstd[n * groups + g], a = 0, q = 0, count = (float)width * pixels;
            for (int c = g * width; c < (g + 1) * width; c++) {
                float h = (products[c] - m * sum[c]) * r;
                dweight[c] += h;
                dbias[c] += sum[c];
                a += weight[c] * sum[c];
                q += weight[c] * h;
            }
            float k = -r * r * q / count;
            for (int c = g * width; c < (g + 1) * width; c++) { slope[c] = k; offset[c] = -r * a / count - k * m; }
        }
        for (int p = 0; p < pixels; p++) {
            const bf16 *row = x + start + (long)p * channels;
            bf16 *out = dx + start + (long)p * channels;
            for (int c = 0; c < channels; c++) out[c] = narrow(widen(out[c]) * scale[c] + widen(row[c]) * slope[c] + offset[c]);
        }
    }
}
