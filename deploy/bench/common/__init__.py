"""What every benchmark needs: a broker, processes it measures and ends for certain, a reader of topics, a report."""
