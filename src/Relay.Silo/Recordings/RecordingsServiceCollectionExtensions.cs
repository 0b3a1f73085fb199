namespace Relay.Silo.Recordings;

/// <summary>Where recordings are kept and read.</summary>
internal static class RecordingsServiceCollectionExtensions
{
    public static IServiceCollection AddRecordings(this IServiceCollection services)
    {
        services.AddSingleton<RecordingStates>();
        services.AddSingleton<RecordingStore>();
        services.AddSingleton<IRecordingReader, RecordingReader>();
        services.AddHostedService<RecordingSweep>();
        return services;
    }
}
