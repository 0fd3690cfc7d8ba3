// Logistic regression with one line per epoch; asks for too much memory in epoch 6.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

int main() {
    srand(0);
    const int n = 500, d = 5;
    std::vector<std::vector<double>> x(n, std::vector<double>(d));
    std::vector<int> y(n);
    for (int i = 0; i < n; i++) {
        double s = 0;
        for (int j = 0; j < d; j++) { x[i][j] = rand() / (double)RAND_MAX - 0.5; s += (j - 2) * x[i][j]; }
        y[i] = s > 0;
    }
    std::vector<double> w(d, 0.0);
    setvbuf(stdout, nullptr, _IOLBF, 0);
    for (int epoch = 1; epoch <= 10; epoch++) {
        double loss = 0;
        int right = 0;
        for (int i = 0; i < n; i++) {
            double z = 0;
            for (int j = 0; j < d; j++) z += w[j] * x[i][j];
            double p = 1 / (1 + exp(-z));
            loss -= y[i] ? log(p) : log(1 - p);
            right += (p > 0.5) == y[i];
            for (int j = 0; j < d; j++) w[j] += 0.1 * (y[i] - p) * x[i][j];
        }
        printf("epoch %d of 10: avg. loss = %.6f, error rate = %.2f%%\n", epoch, loss / n, 100.0 * (n - right) / n);
        if (epoch == 6) { std::vector<double> kernel; kernel.resize((size_t)1 << 42); }
    }
}
